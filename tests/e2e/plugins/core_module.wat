(module
  (import "portcullis:gateway/exchange@0.1.0-draft" "set-header"
    (func $set-header (param i32 i32 i32 i32 i32 i32)))
  (memory (export "memory") 2)
  (global $free (mut i32) (i32.const 4096))
  (global $config (mut i32) (i32.const 0))
  (global $config-len (mut i32) (i32.const 0))
  (data (i32.const 64) "core")
  (data (i32.const 72) "1.0.0")
  (data (i32.const 80) "x-core")

  ;; Memory for what the host hands in. Nothing is ever freed: only the configuration comes this way.
  (func $realloc (export "cabi_realloc") (param $old i32) (param $old-len i32) (param $align i32) (param $len i32)
    (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $len)))
    (local.get $at))

  ;; name, version, config-schema, openapi: pointer and length each; tick-ms; labels: pointer and length.
  (func (export "portcullis:gateway/plugin@0.1.0-draft#describe") (result i32)
    (i32.store (i32.const 1024) (i32.const 64))
    (i32.store (i32.const 1028) (i32.const 4))
    (i32.store (i32.const 1032) (i32.const 72))
    (i32.store (i32.const 1036) (i32.const 5))
    (i32.const 1024))

  (func (export "portcullis:gateway/plugin@0.1.0-draft#configure") (param $at i32) (param $len i32) (result i32)
    (global.set $config (local.get $at))
    (global.set $config-len (local.get $len))
    (i32.store8 (i32.const 1100) (i32.const 0))
    (i32.const 1100))

  (func (export "portcullis:gateway/on-request@0.1.0-draft#handle") (result i32)
    (call $set-header
      (i32.const 0)
      (i32.const 80) (i32.const 6)
      (global.get $config) (global.get $config-len)
      (i32.const 1200))
    ;; The case `next`.
    (i32.store8 (i32.const 1300) (i32.const 0))
    (i32.const 1300)))
