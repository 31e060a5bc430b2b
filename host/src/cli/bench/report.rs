//! The figures of `bench` as a table. It refuses to know how they were measured.

use std::fmt;

use serde::Serialize;

/// What a plugin costs. Times are nanoseconds.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Report {
    /// The plugin's own name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub bytes: usize,
    /// To compile it, once per version.
    pub compile_ns: u64,
    /// To make and configure an instance; median.
    pub start_ns: u64,
    /// Linear memory of an instance that has served.
    pub linear_bytes: u64,
    /// What an instance makes the process larger by, where the system tells.
    pub resident_bytes: Option<u64>,
    /// All hooks in an instance that is reused.
    pub reused_ns: u64,
    /// All hooks in an instance made for them, its making and end included; median.
    pub fresh_ns: u64,
    /// Each hook.
    pub hooks: Vec<HookFigures>,
}

/// One hook.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct HookFigures {
    /// Its name.
    pub hook: &'static str,
    /// What it answered.
    pub verdict: &'static str,
    /// A call in a warm instance: the median of batches.
    pub median_ns: u64,
    /// The same of the fastest batch.
    pub fastest_ns: u64,
    /// The first call in an instance; median.
    pub first_ns: u64,
    /// Calls in all.
    pub calls: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "plugin    {} {} ({} bytes)",
            self.name, self.version, self.bytes
        )?;
        writeln!(f, "compile   {}", time(self.compile_ns))?;
        writeln!(f, "start     {}   instance and configure", time(self.start_ns))?;
        let resident = self
            .resident_bytes
            .map_or_else(|| "unknown".to_owned(), |bytes| format!("{} KiB", bytes / 1024));
        let linear = self.linear_bytes / 1024;
        writeln!(
            f,
            "memory    {linear} KiB linear, {resident} resident   an instance"
        )?;
        writeln!(
            f,
            "exchange  {} reused, {} fresh   all hooks",
            time(self.reused_ns),
            time(self.fresh_ns)
        )?;
        writeln!(
            f,
            "\n{:<18} {:>10} {:>10} {:>10}  {:<11} {:>9}",
            "hook", "median", "fastest", "first", "verdict", "calls"
        )?;
        for hook in &self.hooks {
            writeln!(
                f,
                "{:<18} {:>10} {:>10} {:>10}  {:<11} {:>9}",
                hook.hook,
                time(hook.median_ns),
                time(hook.fastest_ns),
                time(hook.first_ns),
                hook.verdict,
                hook.calls
            )?;
        }
        Ok(())
    }
}

/// Three or more digits, with their unit.
fn time(ns: u64) -> String {
    match ns {
        0..10_000 => format!("{ns} ns"),
        10_000..10_000_000 => format!("{} us", ns / 1_000),
        _ => format!("{} ms", ns / 1_000_000),
    }
}
