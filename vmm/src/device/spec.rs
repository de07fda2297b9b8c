//! A device that a VM is to have, before there is a VM.

use super::backend::Backend;
use crate::sandbox::needs::Needs;
use std::error::Error;
use std::fmt::Debug;
use std::sync::Arc;
use thiserror::Error;

/// What the user said about a device.
pub trait DeviceOptions: Debug + Send + Sync {
    /// What kind of device it is, for messages and as the beginning of its name.
    fn kind(&self) -> &'static str;

    /// The name that the user gave it.
    fn id(&self) -> Option<&str>;

    /// Takes what it needs of the host, and makes the device.
    ///
    /// # Errors
    ///
    /// One sentence about what cannot be had.
    fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>>;

    /// Adds what the device needs of its host once it is open; and, where VMs are built again, for
    /// being opened.
    fn add_needs(&self, needs: &mut Needs) {
        let _ = needs;
    }
}

/// A device that a VM is to have.
#[derive(Clone, Debug)]
pub struct DeviceSpec {
    /// Its name, unique in its VM.
    pub id: String,
    /// What it is.
    pub options: Arc<dyn DeviceOptions>,
}

/// Why a device could not be had.
#[derive(Debug, Error)]
#[error("{kind} {id}: {source}")]
pub struct OpenError {
    kind: &'static str,
    id: String,
    source: Box<dyn Error + Send + Sync>,
}

impl DeviceSpec {
    /// Names the devices of a VM: those that the user gave no name are called by their kind and a
    /// number that none has, such as disk0.
    pub fn name(options: Vec<Arc<dyn DeviceOptions>>) -> Vec<Self> {
        let mut taken: Vec<String> = options
            .iter()
            .filter_map(|one| one.id().map(str::to_string))
            .collect();
        let mut specs = Vec::with_capacity(options.len());
        for options in options {
            let id = options.id().map(str::to_string).unwrap_or_else(|| {
                let mut names = (0..=taken.len()).map(|n| format!("{}{n}", options.kind()));
                let free = names.find(|name| !taken.contains(name));
                let id = free.unwrap_or_default();
                taken.push(id.clone());
                id
            });
            specs.push(Self { id, options });
        }
        specs
    }

    /// Takes what it needs of the host.
    ///
    /// # Errors
    ///
    /// What cannot be had.
    pub fn open(&self) -> Result<OpenDevice, OpenError> {
        let backend = self.options.open().map_err(|source| OpenError {
            kind: self.options.kind(),
            id: self.id.clone(),
            source,
        })?;
        Ok(OpenDevice {
            id: self.id.clone(),
            kind: self.options.kind(),
            backend,
        })
    }
}

/// A device that has what it needs of the host.
#[derive(Debug)]
pub struct OpenDevice {
    /// Its name.
    pub id: String,
    /// What kind of device it is.
    pub kind: &'static str,
    /// What it does.
    pub backend: Box<dyn Backend>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Named(Option<&'static str>);

    impl DeviceOptions for Named {
        fn kind(&self) -> &'static str {
            "disk"
        }

        fn id(&self) -> Option<&str> {
            self.0
        }

        fn open(&self) -> Result<Box<dyn Backend>, Box<dyn Error + Send + Sync>> {
            Err("there is no such file".into())
        }
    }

    #[test]
    fn a_device_without_a_name_gets_one_that_none_has() {
        let options = [None, Some("disk0"), None, Some("data")];
        let named = options.map(|id| Arc::new(Named(id)) as Arc<dyn DeviceOptions>);
        let specs = DeviceSpec::name(named.into());
        let ids: Vec<_> = specs.iter().map(|spec| spec.id.as_str()).collect();
        assert_eq!(ids, ["disk1", "disk0", "disk2", "data"]);
        let error = specs[1].open().unwrap_err();
        assert_eq!(error.to_string(), "disk disk0: there is no such file");
    }
}
