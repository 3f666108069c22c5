//! All that is timed, on one device.

use std::path::{Path, PathBuf};

use burn::prelude::*;
use serde_json::{Value, json};

use crate::exported::{self, Exported};
use crate::layers::{self, Layer};
use crate::methods::Method;
use crate::timing::{Plan, Row};
use crate::{kernels, steps};

/// What to run.
pub struct Work {
    /// In the order of relabel's report.
    pub layers: Vec<Layer>,
    /// Names and files of the steps.
    pub steps: Vec<(String, PathBuf)>,
}

/// An open device.
pub struct Peer {
    device: Device,
    backend: &'static str,
    name: String,
    driver: String,
}

impl Work {
    /// The layers of a report and the steps of a folder, where there are such, whose names or shapes hold `only`.
    ///
    /// # Errors
    /// When they cannot be read, or nothing is left.
    pub fn read(report: Option<&Path>, folder: Option<&Path>, only: &str) -> Result<Self, String> {
        let layers = report.map(|report| layers::read(report, only)).transpose()?.unwrap_or_default();
        let files = folder.map(exported::files).transpose()?.unwrap_or_default();
        let steps: Vec<_> = files.into_iter().filter(|(name, _)| name.contains(only)).collect();
        if layers.is_empty() && steps.is_empty() {
            return Err(format!("--only {only}: there is no such work"));
        }
        Ok(Self { layers, steps })
    }
}

impl Peer {
    /// Opens burn's device: `auto` is the choice of its wgpu backend, `cpu` a software adapter, `gpu` the first discrete GPU, and
    /// `cuda` the first GPU on its CUDA backend, where the peer is built with that.
    ///
    /// # Errors
    /// When there is no such adapter.
    pub fn open(adapter: &str) -> Result<Self, String> {
        let kind = match adapter {
            "auto" => DeviceKind::DefaultDevice,
            "cpu" => DeviceKind::Cpu,
            "gpu" => DeviceKind::DiscreteGpu(0),
            "cuda" => return Self::open_cuda(),
            other => return Err(format!("--adapter {other}: give auto, cpu, gpu or cuda")),
        };
        let (device, setup) =
            Device::wgpu_options().device_kind(kind).init_with_setup().map_err(|e| format!("no device: {e}"))?;
        let info = setup.adapter.get_info();
        let driver = format!("{} {}", info.driver, info.driver_info);
        Ok(Self { device, backend: "wgpu (WGSL)", name: info.name, driver })
    }

    #[cfg(feature = "cuda")]
    fn open_cuda() -> Result<Self, String> {
        let (name, driver) = ("the first GPU".into(), "CUDA".into());
        Ok(Self { device: Device::cuda(0), backend: "CUDA", name, driver })
    }

    #[cfg(not(feature = "cuda"))]
    fn open_cuda() -> Result<Self, String> {
        Err("--adapter cuda: build the peer with its CUDA backend first (cargo build --release --features cuda)".into())
    }

    /// Runs all that it can of the work, with a line each on standard error, and one for what it cannot.
    ///
    /// # Errors
    /// When the file of a step cannot be read or is not that of its network.
    pub fn rows(&self, work: &Work, plan: Plan) -> Result<Vec<Row>, String> {
        eprintln!("{} ({})", self.name, self.driver);
        eprintln!(
            "{:<24} {:<52} {:>9} {:>8} {:>8} {:>9} right",
            "name", "shape", "ms", "GFLOP/s", "images/s", "warm-up s"
        );
        let mut rows: Vec<Row> = Vec::new();
        let mut report = |row: Row| {
            let number = |v: Option<f64>, digits| v.map_or("-".into(), |v| format!("{v:.digits$}"));
            let (gflops, images) = (number(row.gflops(), 2), number(row.images_per_s(), 1));
            eprintln!(
                "{:<24} {:<52} {:>9.2} {gflops:>8} {images:>8} {:>9.1} {}",
                row.name, row.shape, row.milliseconds, row.warm_up, row.checked
            );
            rows.push(row);
        };
        for layer in &work.layers {
            match layer {
                Layer::Convolution(shape) => kernels::convolution(shape, plan, &self.device, &mut report),
                Layer::Product(shape) => kernels::product(shape, plan, &self.device, &mut report),
            }
        }
        for (name, file) in &work.steps {
            let step = Exported::read(name, file)?;
            let told = |e| format!("{name}: {e}");
            match Method::of(&step).map_err(told)? {
                Some(method) => report(steps::row(&step, method, plan, &self.device).map_err(told)?),
                None => eprintln!("{name}: left out: burn has no gradient of a gradient"),
            }
        }
        Ok(rows)
    }

    /// The report of such rows.
    pub fn report(&self, rows: &[Row]) -> Value {
        json!({
            "peer": format!("burn 0.22.1, {} backend, fusion and autotune on", self.backend),
            "adapter": self.name,
            "driver": self.driver,
            "rows": rows.iter().map(Row::json).collect::<Vec<_>>(),
        })
    }
}
