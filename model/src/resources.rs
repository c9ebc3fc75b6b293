//! What the process has used, as far as the operating system tells (Linux; zero elsewhere).

use std::fs;
use std::time::Duration;

/// The most memory the process has held since the last reset, in bytes.
pub fn peak_memory() -> u64 {
    status("VmHWM:")
}

/// The memory that the process holds, in bytes.
pub fn resident_memory() -> u64 {
    status("VmRSS:")
}

/// A line of the process's status, in bytes.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kibibytes = line.and_then(|line| line.trim().strip_suffix("kB"));
    kibibytes.and_then(|number| number.trim().parse::<u64>().ok()).unwrap_or(0) * 1024
}

/// Starts a new measurement of [`peak_memory`].
pub fn reset_peak_memory() {
    // Refused in some containers; then the peak is that of the whole run, which is no less.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The processor time of the process, all threads together.
pub fn cpu_time() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = |place| after_name.split_whitespace().nth(place)?.parse::<u64>().ok();
    // Fields 14 and 15 of the line, in the kernel's fixed 100 ticks a second.
    let total = ticks(11).unwrap_or(0) + ticks(12).unwrap_or(0);
    Duration::from_millis(total * 10)
}
