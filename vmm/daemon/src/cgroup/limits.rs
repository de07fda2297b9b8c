//! What a VM's group may use, and what the kernel's files say of it.

use super::error::CgroupError;

/// The time in which a quota counts, in microseconds: the kernel's own default.
const CPU_PERIOD_US: u64 = 100_000;

/// What a group may use; `None` for as much as there is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Its share of busy CPUs, 1 to 10000; a group that says nothing has 100.
    pub cpu_weight: Option<u32>,
    /// The CPU time that it gets at most, in percent of one CPU: 150 is one and a half.
    pub cpu_quota_percent: Option<u32>,
    /// The CPUs that it runs on.
    pub cpus: Option<Vec<u32>>,
    /// Memory, guest RAM and page cache included, in bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// What is to be written to which file of a group, and the controller that it takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The controller.
    pub controller: &'static str,
    /// The file.
    pub file: &'static str,
    /// What is written.
    pub value: String,
}

impl Limits {
    /// What is to be written.
    pub(super) fn settings(&self) -> Result<Vec<Setting>, CgroupError> {
        let mut settings = Vec::new();
        let mut set = |controller, file, value| {
            settings.push(Setting {
                controller,
                file,
                value,
            });
        };
        if let Some(weight) = self.cpu_weight {
            check("the CPU weight", weight, 1..=10_000, "it is 1 to 10000")?;
            set("cpu", "cpu.weight", weight.to_string());
        }
        if let Some(percent) = self.cpu_quota_percent {
            let range = "it is 1 to 1000000, in percent of one CPU";
            check("the CPU quota", percent, 1..=1_000_000, range)?;
            let quota = u64::from(percent) * CPU_PERIOD_US / 100;
            set("cpu", "cpu.max", format!("{quota} {CPU_PERIOD_US}"));
        }
        if let Some(cpus) = &self.cpus {
            if cpus.is_empty() {
                return Err(CgroupError::Range {
                    what: "the list of CPUs",
                    value: "empty".to_string(),
                    range: "it names at least one",
                });
            }
            let list: Vec<_> = cpus.iter().map(u32::to_string).collect();
            set("cpuset", "cpuset.cpus", list.join(","));
        }
        if let Some(bytes) = self.memory {
            check(
                "the memory limit",
                bytes,
                4096..=i64::MAX as u64,
                "it is 4096 bytes or more",
            )?;
            set("memory", "memory.max", bytes.to_string());
        }
        if let Some(pids) = self.pids {
            check(
                "the limit of processes",
                pids,
                1..=u32::MAX,
                "it is 1 or more",
            )?;
            set("pids", "pids.max", pids.to_string());
        }
        Ok(settings)
    }
}

fn check<T: PartialOrd + ToString>(
    what: &'static str,
    value: T,
    possible: std::ops::RangeInclusive<T>,
    range: &'static str,
) -> Result<(), CgroupError> {
    if possible.contains(&value) {
        return Ok(());
    }
    let value = value.to_string();
    Err(CgroupError::Range { what, value, range })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_what_the_kernel_reads() {
        let limits = Limits {
            cpu_weight: Some(50),
            cpu_quota_percent: Some(150),
            cpus: Some(vec![0, 3]),
            memory: Some(64 << 20),
            pids: Some(40),
        };
        let settings = limits.settings().unwrap();
        let written: Vec<_> = settings
            .iter()
            .map(|one| (one.controller, one.file, one.value.as_str()))
            .collect();
        let expected = [
            ("cpu", "cpu.weight", "50"),
            ("cpu", "cpu.max", "150000 100000"),
            ("cpuset", "cpuset.cpus", "0,3"),
            ("memory", "memory.max", "67108864"),
            ("pids", "pids.max", "40"),
        ];
        assert_eq!(written, expected);
        assert_eq!(Limits::default().settings().unwrap(), []);
    }

    #[test]
    fn what_is_out_of_range_is_told() {
        let error = |limits: Limits| limits.settings().unwrap_err().to_string();
        let weight = error(Limits {
            cpu_weight: Some(0),
            ..Limits::default()
        });
        assert_eq!(weight, "the CPU weight is 0; it is 1 to 10000");
        let cpus = error(Limits {
            cpus: Some(Vec::new()),
            ..Limits::default()
        });
        assert_eq!(cpus, "the list of CPUs is empty; it names at least one");
        let quota = error(Limits {
            cpu_quota_percent: Some(0),
            ..Limits::default()
        });
        assert!(quota.starts_with("the CPU quota is 0; "), "{quota}");
    }
}
