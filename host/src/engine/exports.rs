//! The names that a component exports, read without compiling it.
//!
//! It refuses to check anything else: whether the component is valid is known when it is compiled.

use wasmparser::{Parser, Payload};

use super::{EngineError, encode};

/// The names of the exports of a component, in its order; of a core module, those of the component that it makes.
///
/// # Errors
/// When the bytes are no component and make none.
pub fn exports(bytes: &[u8]) -> Result<Vec<String>, EngineError> {
    let not_one = |error: wasmparser::BinaryReaderError| EngineError::NotAComponent(error.to_string());
    let bytes = encode::component(bytes)?;
    let mut names = Vec::new();
    // Modules and components inside have sections, and ends, of their own.
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.map_err(not_one)? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.push(export.map_err(not_one)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_refused() {
        for bytes in [
            &b""[..],
            b"text",
            b"\0asm\x01\0\0\0",
            b"\0asm\x0d\0\x01\0\x0b\xff",
        ] {
            assert!(
                matches!(exports(bytes), Err(EngineError::NotAComponent(_))),
                "{bytes:?}"
            );
        }
    }

    #[test]
    fn a_component_without_exports_has_no_names() {
        assert_eq!(exports(b"\0asm\x0d\0\x01\0").unwrap(), Vec::<String>::new());
    }
}
