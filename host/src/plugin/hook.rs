//! What a hook call that failed is called in logs, metrics and answers.

use wasmtime::Trap;

use crate::abi::BadAnswer;
use crate::engine::OverBudget;
pub use crate::telemetry::{FaultKind, Hook};

/// One hook call that failed. Its instance is gone.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{} in {}: {detail}", kind.name(), hook.name())]
pub struct Fault {
    /// Where.
    pub hook: Hook,
    /// What.
    pub kind: FaultKind,
    /// For the log, never for a client.
    pub detail: String,
    /// The plugin's own `err` from `configure`, rather than a failure.
    pub(super) refused: bool,
}

impl Fault {
    /// Reads wasmtime's error. `last_words` is the last line that the guest wrote to stderr.
    pub(super) fn of(hook: Hook, error: &wasmtime::Error, last_words: Option<String>) -> Self {
        let kind = if let Some(over) = error.downcast_ref::<OverBudget>() {
            match over {
                OverBudget::Cpu(_) => FaultKind::Cpu,
                OverBudget::Wall(_) => FaultKind::Timeout,
                OverBudget::Memory { .. } | OverBudget::Table(_) => FaultKind::Memory,
            }
        } else if let Some(trap) = error.downcast_ref::<Trap>() {
            match trap {
                Trap::StackOverflow => FaultKind::Stack,
                Trap::Interrupt => FaultKind::Cpu,
                Trap::UnreachableCodeReached if last_words.is_some() => FaultKind::Panic,
                _ => FaultKind::Trap,
            }
        } else if error.downcast_ref::<wasmtime_wasi::I32Exit>().is_some() {
            FaultKind::Exit
        } else if error.downcast_ref::<BadAnswer>().is_some() {
            FaultKind::BadAnswer
        } else {
            FaultKind::Refused
        };
        let mut detail = error.root_cause().to_string();
        if let Some(frame) = first_frame(error) {
            detail.push_str(" at ");
            detail.push_str(&frame);
        }
        if let Some(words) = last_words {
            detail.push_str("; its last words: ");
            detail.push_str(&words);
        }
        Self {
            hook,
            kind,
            detail,
            refused: false,
        }
    }

    pub(super) fn new(hook: Hook, kind: FaultKind, detail: impl Into<String>) -> Self {
        Self {
            hook,
            kind,
            detail: detail.into(),
            refused: false,
        }
    }

    /// The plugin's own refusal of its configuration.
    pub(super) fn refusal(text: String) -> Self {
        Self {
            hook: Hook::Configure,
            kind: FaultKind::Start,
            detail: text,
            refused: true,
        }
    }
}

/// Innermost function of the guest that is not the standard library's panic machinery, with its source
/// line where the guest has debug information.
fn first_frame(error: &wasmtime::Error) -> Option<String> {
    let trace = error.downcast_ref::<wasmtime::WasmBacktrace>()?;
    let names = trace.frames().iter().filter_map(|frame| {
        let name = wasmtime_name(frame.func_name()?);
        let line = frame
            .symbols()
            .iter()
            .find_map(|s| Some((s.file()?.to_owned(), s.line()?)));
        Some(match line {
            Some((file, line)) => format!("{name} ({file}:{line})"),
            None => name,
        })
    });
    let machinery = [
        "std::", "core::", "rust_", "__rust", "abort", "alloc::", "dlmalloc",
    ];
    let mut names = names.filter(|name| !machinery.iter().any(|m| name.starts_with(m)));
    names.next()
}

/// A function's name without the hash that the compiler adds.
fn wasmtime_name(mangled: &str) -> String {
    let name = mangled.split("::h").next().unwrap_or(mangled);
    name.chars().filter(|c| !c.is_control()).take(120).collect()
}
