//! All that is timed, on one device.

use burn::prelude::*;
use serde_json::{Value, json};

use crate::timing::{Plan, Row};
use crate::{convolution, kernels, step};

/// An open device and what to run on it.
pub struct Work {
    device: Device,
    only: String,
    rows: [usize; 2],
    backend: &'static str,
    name: String,
    driver: String,
}

impl Work {
    /// Opens burn's device: `auto` is the choice of its wgpu backend, `cpu` a software adapter, `gpu` the first discrete GPU, and
    /// `cuda` the first GPU on its CUDA backend, where the peer is built with that. `rows` are those of ResNet-32 and of the demo
    /// network.
    ///
    /// # Errors
    /// When there is no such adapter.
    pub fn open(adapter: &str, only: &str, rows: [usize; 2]) -> Result<Self, String> {
        let kind = match adapter {
            "auto" => DeviceKind::DefaultDevice,
            "cpu" => DeviceKind::Cpu,
            "gpu" => DeviceKind::DiscreteGpu(0),
            "cuda" => return Self::open_cuda(only, rows),
            other => return Err(format!("--adapter {other}: give auto, cpu, gpu or cuda")),
        };
        let (device, setup) =
            Device::wgpu_options().device_kind(kind).init_with_setup().map_err(|e| format!("no device: {e}"))?;
        let info = setup.adapter.get_info();
        let driver = format!("{} {}", info.driver, info.driver_info);
        Ok(Self { device, only: only.into(), rows, backend: "wgpu (WGSL)", name: info.name, driver })
    }

    #[cfg(feature = "cuda")]
    fn open_cuda(only: &str, rows: [usize; 2]) -> Result<Self, String> {
        let (name, driver) = ("the first GPU".into(), "CUDA".into());
        Ok(Self { device: Device::cuda(0), only: only.into(), rows, backend: "CUDA", name, driver })
    }

    #[cfg(not(feature = "cuda"))]
    fn open_cuda(_: &str, _: [usize; 2]) -> Result<Self, String> {
        Err("--adapter cuda: build the peer with its CUDA backend first (cargo build --release --features cuda)".into())
    }

    /// Runs everything whose name or shape holds the wanted text, with a line each on standard error.
    pub fn rows(&self, plan: Plan) -> Vec<Row> {
        let wanted = |text: &str| text.contains(&self.only);
        eprintln!("{} ({})", self.name, self.driver);
        eprintln!(
            "{:<20} {:<42} {:>9} {:>8} {:>8} {:>9} right",
            "name", "shape", "ms", "GFLOP/s", "images/s", "warm-up s"
        );
        let mut rows: Vec<Row> = Vec::new();
        let mut report = |row: Row| {
            let images = row.images_per_s().map_or("-".into(), |v| format!("{v:.1}"));
            let (gflops, checked) = (row.gflops(), row.checked);
            eprintln!(
                "{:<20} {:<42} {:>9.2} {gflops:>8.2} {images:>8} {:>9.1} {checked}",
                row.name, row.shape, row.milliseconds, row.warm_up
            );
            rows.push(row);
        };
        if wanted("matmul") {
            kernels::matmul(512, plan, &self.device, &mut report);
        }
        for shape in &convolution::shapes(self.rows) {
            if wanted("conv2d") || wanted(&shape.text()) {
                kernels::convolution(shape, plan, &self.device, &mut report);
            }
        }
        if wanted("step demo sla") {
            report(step::demo(self.rows[1], plan, &self.device));
        }
        if wanted("step resnet32 sla") {
            report(step::resnet32(self.rows[0], plan, &self.device));
        }
        rows
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
