//! What it was measured on, and how much memory a process took.

use std::fs;

use serde::Serialize;

/// A machine, and the program on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's name, where the system tells.
    pub cpu: Option<String>,
    /// Cores this process may use.
    pub cores: usize,
    /// Memory, where the system tells.
    pub memory_bytes: Option<u64>,
    /// The operating system.
    pub system: &'static str,
    /// The instruction set.
    pub architecture: &'static str,
    /// This program's version.
    pub version: &'static str,
    /// Whether this program was built without optimisation, and its times mean little.
    pub is_debug_build: bool,
    /// Processes that wanted to run in the minute before, on average: a machine is quiet where this is near zero.
    pub load_before: Option<f64>,
}

impl Machine {
    /// This one.
    #[must_use]
    pub fn this() -> Self {
        Self {
            cpu: fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| value(&text, "model name")),
            cores: std::thread::available_parallelism().map_or(1, Into::into),
            memory_bytes: fs::read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemTotal")),
            system: std::env::consts::OS,
            architecture: std::env::consts::ARCH,
            version: env!("CARGO_PKG_VERSION"),
            is_debug_build: cfg!(debug_assertions),
            load_before: fs::read_to_string("/proc/loadavg").ok().and_then(|text| first_number(&text)),
        }
    }
}

/// The most memory this process ever had resident; `None` where the system does not tell.
pub(crate) fn peak_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// What follows a name and a colon on a line of its own.
fn value(text: &str, name: &str) -> Option<String> {
    let of_name = |line: &str| {
        let (found, value) = line.split_once(':')?;
        (found.trim() == name).then(|| value.trim().to_owned())
    };
    text.lines().find_map(of_name)
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    let number: u64 = value(text, name)?.split_whitespace().next()?.parse().ok()?;
    Some(number * 1024)
}

fn first_number(text: &str) -> Option<f64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_tables_are_read() {
        let text = "Name:\twindtunnel\nVmHWM:\t    1234 kB\nVmRSS:\t 7 kB\n";
        assert_eq!(kilobytes(text, "VmHWM"), Some(1234 * 1024));
        assert_eq!(kilobytes(text, "VmSwap"), None);
        assert_eq!(
            value("processor\t: 0\nmodel name\t: A CPU @ 2 GHz: fast\n", "model name").as_deref(),
            Some("A CPU @ 2 GHz: fast")
        );
        assert_eq!(first_number("0.52 0.61 0.70 2/345 6789\n"), Some(0.52));
    }
}
