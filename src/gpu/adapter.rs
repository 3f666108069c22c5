//! Which adapters there are, and which one to take.

use std::fmt;
use std::str::FromStr;
use std::sync::{Once, OnceLock};

use crate::base::{Error, Result};

/// The user's wish: `auto | gpu | cpu | INDEX | NAME`.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum AdapterChoice {
    /// A discrete GPU, then an integrated or virtual one, then a software adapter.
    #[default]
    Auto,
    /// Any GPU, no software adapter.
    Gpu,
    /// A software adapter.
    Cpu,
    /// Place in the list that `relabel adapters` prints.
    Index(usize),
    /// Part of the adapter's name, case ignored.
    Name(String),
}

impl fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Gpu => f.write_str("gpu"),
            Self::Cpu => f.write_str("cpu"),
            Self::Index(index) => index.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl FromStr for AdapterChoice {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text.trim() {
            "" => return Err(Error::Config("adapter: empty; give auto, gpu, cpu, an index or part of a name".into())),
            "auto" => Self::Auto,
            "gpu" => Self::Gpu,
            "cpu" => Self::Cpu,
            other => other.parse().map_or_else(|_| Self::Name(other.into()), Self::Index),
        })
    }
}

/// Every adapter, best first: the order that indices refer to. With `labels`, the driver gets those of buffers, passes and
/// pipelines also in a release build.
///
/// Asked for once a process: Vulkan's loader then unloads drivers without a device, and one thread's call crashes in it (1.4.309)
/// when another does that.
pub fn list(labels: bool) -> &'static [wgpu::Adapter] {
    static ADAPTERS: [OnceLock<Vec<wgpu::Adapter>>; 2] = [OnceLock::new(), OnceLock::new()];
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        if std::env::var_os("NODEVICE_SELECT").is_none() {
            // SAFETY: the loader has not been opened yet and nothing of ours reads the environment at the same time.
            // Mesa's device-select layer otherwise prints `XDG_RUNTIME_DIR is invalid` on a bare machine.
            unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
        }
    });
    let find = || {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
        descriptor.backends &= wgpu::Backends::PRIMARY;
        if labels {
            descriptor.flags |= wgpu::InstanceFlags::DEBUG;
        }
        let instance = wgpu::Instance::new(descriptor);
        let mut adapters = pollster::block_on(instance.enumerate_adapters(wgpu::Backends::PRIMARY));
        adapters.sort_by_key(|a| rank(a.get_info().device_type));
        adapters
    };
    // A debug build gives labels anyway.
    ADAPTERS[usize::from(labels && !cfg!(debug_assertions))].get_or_init(find)
}

fn rank(kind: wgpu::DeviceType) -> u8 {
    match kind {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    }
}

/// A kind of adapter in plain words.
pub fn kind(kind: wgpu::DeviceType) -> &'static str {
    match kind {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    }
}

/// Takes the adapter of the [`list`] that fits the wish.
///
/// # Errors
/// When none fits: what was looked for, what is there, and what to install.
pub fn choose(labels: bool, choice: &AdapterChoice) -> Result<wgpu::Adapter> {
    let adapters = list(labels);
    if adapters.is_empty() {
        return Err(Error::Device(
            "no adapter found: neither a GPU driver nor a software one (Vulkan, Metal or DX12). On Linux install a \
             Vulkan loader and driver, for example `apt install libvulkan1 mesa-vulkan-drivers` (scripts/demo does)"
                .into(),
        ));
    }
    let is_cpu = |a: &wgpu::Adapter| a.get_info().device_type == wgpu::DeviceType::Cpu;
    let place = match choice {
        AdapterChoice::Auto => Some(0),
        AdapterChoice::Gpu => adapters.iter().position(|a| !is_cpu(a)),
        AdapterChoice::Cpu => adapters.iter().position(is_cpu),
        AdapterChoice::Index(i) => (*i < adapters.len()).then_some(*i),
        AdapterChoice::Name(name) => {
            let name = name.to_lowercase();
            adapters.iter().position(|a| a.get_info().name.to_lowercase().contains(&name))
        }
    };
    match place {
        Some(i) => Ok(adapters[i].clone()),
        None => {
            let there: Vec<String> =
                adapters.iter().enumerate().map(|(i, a)| format!("{i}: {}", describe(&a.get_info()))).collect();
            Err(Error::Device(format!("no adapter fits `{choice}`; there are: {}", there.join("; "))))
        }
    }
}

/// The first number of Mesa's version, where the driver is Mesa's.
pub fn mesa(info: &wgpu::AdapterInfo) -> Option<u32> {
    let number = info.driver_info.strip_prefix("Mesa ")?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

/// Whether the driver is a Mesa whose software adapter takes all lanes at once in storage loads and in private arrays: 25.0.7 and
/// 26.2.6 were measured to do so, 22.3.6 loops over the lanes in both; 23 and 24 were not measured and count as older.
pub fn recent_mesa(info: &wgpu::AdapterInfo) -> bool {
    mesa(info).is_some_and(|version| version >= 25)
}

/// Name, kind, backend and driver on one line.
pub fn describe(info: &wgpu::AdapterInfo) -> String {
    let driver = format!("{} {}", info.driver, info.driver_info);
    format!("{} ({}, {}, {})", info.name, kind(info.device_type), info.backend, driver.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mesas_version_is_read_from_the_driver() {
        let driven = |text: &str| {
            let mut info = wgpu::AdapterInfo::new(wgpu::DeviceType::Cpu, wgpu::Backend::Vulkan);
            text.clone_into(&mut info.driver_info);
            info
        };
        let of = |text: &str| mesa(&driven(text));
        assert_eq!(of("Mesa 22.3.6 (LLVM 15.0.6)"), Some(22));
        assert_eq!(of("Mesa 26.2.6-1 (LLVM 22.1.8)"), Some(26));
        assert!(["", "Mesa", "Mesa git", "550.54.14"].iter().all(|text| of(text).is_none()));
        let recent = |text: &str| recent_mesa(&driven(text));
        assert!(
            recent("Mesa 25.0.7-2+deb13u1 (LLVM 19.1.7)") && !recent("Mesa 22.3.6 (LLVM 15.0.6)") && !recent("550.54")
        );
    }
}
