//! Core modules made components: a module built for wasm32-unknown-unknown carries the types that its bindings were
//! made of in custom sections (`component-type`, wit-component's `metadata`), which is all that a component needs.
//!
//! It refuses to compile, and to know which interfaces there are.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use wasmparser::{Encoding, Parser, Payload};
use wit_component::ComponentEncoder;

use super::{EngineError, MAX_COMPONENT};

/// How the names of custom sections with component types begin.
const TYPES: &str = "component-type";
/// Bytes of all such sections together: the whole contract takes 12 KB.
const MAX_TYPES: usize = 1 << 20;
/// The module of imports that a standard library for wasm32-wasip1 brings.
const PREVIEW1: &str = "wasi_snapshot_preview1";

/// What a `.wasm` file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A component.
    Component,
    /// A core module, which may have the types of a component inside.
    CoreModule,
}

impl Format {
    /// The first eight bytes tell (Component Model, `design/mvp/Binary.md`).
    ///
    /// # Errors
    /// When it is neither.
    pub fn of(bytes: &[u8]) -> Result<Self, EngineError> {
        let text = match bytes.get(..8) {
            None => "the file is shorter than a WebAssembly header (half-written?)",
            Some(head) if !head.starts_with(b"\0asm") => {
                "the file does not begin with the WebAssembly magic number"
            }
            Some([.., 0x01, 0, 0, 0]) => return Ok(Self::CoreModule),
            Some([.., 0x0d, 0, 1, 0]) => return Ok(Self::Component),
            Some(_) => "unknown version of the WebAssembly binary format",
        };
        Err(EngineError::NotAComponent(text.to_owned()))
    }
}

/// The component that the bytes of a file are, or that their core module makes. Takes about as long as to read and
/// check the module (10 ms a megabyte): never on the request path.
///
/// # Errors
/// When they are neither, or the module has no component types, or does not fit them.
pub(super) fn component(bytes: &[u8]) -> Result<Cow<'_, [u8]>, EngineError> {
    match Format::of(bytes)? {
        Format::Component => Ok(Cow::Borrowed(bytes)),
        Format::CoreModule => encode(bytes).map(Cow::Owned),
    }
}

fn encode(bytes: &[u8]) -> Result<Vec<u8>, EngineError> {
    check(bytes)?;
    // The encoder is written for what linkers make; that a broken file ends no thread is ours to see to.
    let encoded = catch_unwind(AssertUnwindSafe(|| {
        ComponentEncoder::default().module(bytes)?.encode()
    }));
    let encoded = match encoded {
        Ok(Ok(encoded)) => encoded,
        Ok(Err(error)) => return Err(EngineError::Encode(format!("{error:#}"))),
        Err(_) => return Err(EngineError::Encode("its component types are broken".to_owned())),
    };
    let size = encoded.len() as u64;
    if size > MAX_COMPONENT {
        return Err(EngineError::TooLarge { size });
    }
    Ok(encoded)
}

/// The commonest mistakes by a clear text, and a bound on what the encoder has to read.
fn check(bytes: &[u8]) -> Result<(), EngineError> {
    let broken = |error: wasmparser::BinaryReaderError| EngineError::Encode(error.to_string());
    let (mut types, mut preview1) = (0_usize, false);
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(broken)? {
            Payload::Version { encoding, .. } if encoding != Encoding::Module => break,
            Payload::CustomSection(section) if section.name().starts_with(TYPES) => {
                types = types.saturating_add(section.data().len());
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    preview1 |= import.map_err(broken)?.module == PREVIEW1;
                }
            }
            _ => {}
        }
    }
    if types == 0 {
        return Err(EngineError::NotAComponent(
            "this is a core module, not a component, and it has no component types inside; build it for wasm32-wasip2, \
             make its bindings with wit-bindgen, or run `wasm-tools component embed`"
                .to_owned(),
        ));
    }
    if types > MAX_TYPES {
        return Err(EngineError::Encode(format!(
            "its component types have {types} bytes; at most {MAX_TYPES} are accepted"
        )));
    }
    if preview1 {
        return Err(EngineError::Encode(format!(
            "it imports `{PREVIEW1}`; build it for wasm32-wasip2 or wasm32-unknown-unknown, or run \
             `wasm-tools component new` with the adapter of your toolchain"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wit_component::{StringEncoding, embed_component_metadata};
    use wit_parser::Resolve;

    use super::*;
    use crate::engine::{ContentHash, Engine, exports};

    /// A module by its text, with the types of a world that exports `run`.
    fn module(text: &str) -> Vec<u8> {
        let mut resolve = Resolve::default();
        let package = resolve
            .push_str(
                "test.wit",
                "package test:one; world one { export run: func() -> u32; }",
            )
            .unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        let mut bytes = wat::parse_str(text).unwrap();
        embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8).unwrap();
        bytes
    }

    const RUN: &str = r#"(module (func (export "run") (result i32) i32.const 7))"#;

    #[test]
    fn a_core_module_with_component_types_is_compiled_and_its_exports_are_known() {
        let bytes = module(RUN);
        let hash = ContentHash::of(&bytes);
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::new(Some(folder.path().join("aot")), 1).unwrap();
        assert_eq!(exports(&bytes).unwrap(), ["run"]);
        engine.compile(&bytes, hash).unwrap();
        // The native code is kept under the hash of the file as it is.
        assert!(engine.cache().load(engine.wasmtime(), hash).is_some());
    }

    #[test]
    fn a_component_is_left_as_it_is() {
        let bytes = b"\0asm\x0d\0\x01\0";
        assert!(matches!(component(bytes), Ok(Cow::Borrowed(same)) if same == bytes));
    }

    #[test]
    fn a_core_module_that_cannot_be_one_says_what_to_do() {
        let text = |bytes: &[u8]| component(bytes).unwrap_err().to_string();
        let bare = wat::parse_str(RUN).unwrap();
        assert!(
            text(&bare).contains("a core module, not a component") && text(&bare).contains("wasm32-wasip2"),
            "{}",
            text(&bare)
        );
        let other = module(r#"(module (func (export "walk")))"#);
        assert!(text(&other).contains("run"), "{}", text(&other));
        let wasi = module(
            r#"(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
                (func (export "run") (result i32) i32.const 7))"#,
        );
        assert!(text(&wasi).contains("adapter"), "{}", text(&wasi));
    }

    #[test]
    fn the_size_of_component_types_is_bounded() {
        let mut bytes = b"\0asm\x01\0\0\0".to_vec();
        let name = b"component-type:big";
        let length = u32::try_from(1 + name.len() + MAX_TYPES + 1).unwrap();
        bytes.push(0);
        let mut rest = length;
        while rest >= 0x80 {
            bytes.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        bytes.push(u8::try_from(rest).unwrap());
        bytes.push(u8::try_from(name.len()).unwrap());
        bytes.extend_from_slice(name);
        bytes.resize(bytes.len() + MAX_TYPES + 1, 0);
        assert!(component(&bytes).unwrap_err().to_string().contains("at most"));
    }

    proptest! {
        #[test]
        fn a_broken_core_module_is_refused_and_panics_nowhere(at in 8_usize.., byte: u8, cut in 8_usize..) {
            let mut bytes = module(RUN);
            let length = bytes.len();
            bytes[8 + at % (length - 8)] = byte;
            drop(component(&bytes));
            bytes.truncate(8 + cut % (length - 8));
            drop(component(&bytes));
        }
    }
}
