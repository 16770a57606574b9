//! Describes the machine, and a process's peak memory.

use std::fs;

use serde::Serialize;

/// A machine and the program on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Machine {
    /// The processor's name, if the system reports it.
    pub cpu: Option<String>,
    /// Cores this process may use.
    pub cores: usize,
    /// Memory, if the system reports it.
    pub memory_bytes: Option<u64>,
    pub system: &'static str,
    pub architecture: &'static str,
    pub version: &'static str,
    /// Whether this program was built without optimisation, which makes its times meaningless.
    pub is_debug_build: bool,
    /// Load average of the minute before; near zero on a quiet machine.
    pub load_before: Option<f64>,
}

impl Machine {
    /// Describes this machine.
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

/// Peak resident memory of this process, in bytes; `None` if the system does not report it.
pub(crate) fn peak_bytes() -> Option<u64> {
    kilobytes(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM")
}

/// The value after a name and a colon on a line of its own.
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
