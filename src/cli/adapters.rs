//! `relabel adapters`: what there is to run on.

use clap::Args;
use serde::Serialize;

use super::output;
use crate::base::Result;
use crate::gpu::adapter;
use crate::gpu::{AdapterChoice, cooperative};

/// List every adapter with what matters of its features and limits.
#[derive(Clone, Debug, Args)]
pub struct AdaptersArgs {
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What matters of an adapter. Sizes are bytes.
#[derive(Clone, Debug, Serialize)]
struct Adapter {
    /// What `--adapter` takes.
    index: usize,
    name: String,
    kind: &'static str,
    backend: String,
    driver: String,
    /// Whether `--adapter auto` takes it.
    auto: bool,
    /// Largest buffer.
    max_buffer_bytes: u64,
    /// Largest part of a buffer that a kernel sees: the most that one tensor may take.
    max_binding_bytes: u64,
    /// Storage buffers of one kernel; 8 are needed.
    storage_buffers: u32,
    workgroup_memory_bytes: u32,
    workgroup_invocations: u32,
    workgroups_per_dimension: u32,
    subgroups: bool,
    subgroup_min_size: u32,
    subgroup_max_size: u32,
    f16: bool,
    /// Side of the cooperative matrices that products can take.
    cooperative_matrices: Option<u32>,
    timestamps: bool,
    timestamps_inside_passes: bool,
}

impl Adapter {
    fn new(index: usize, adapter: &wgpu::Adapter) -> Self {
        let (info, limits, features) = (adapter.get_info(), adapter.limits(), adapter.features());
        Self {
            index,
            kind: adapter::kind(info.device_type),
            backend: info.backend.to_string(),
            driver: format!("{} {}", info.driver, info.driver_info).trim().to_string(),
            auto: index == 0,
            max_buffer_bytes: limits.max_buffer_size,
            max_binding_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            storage_buffers: limits.max_storage_buffers_per_shader_stage,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            workgroup_invocations: limits.max_compute_invocations_per_workgroup,
            workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
            subgroups: features.contains(wgpu::Features::SUBGROUP),
            subgroup_min_size: info.subgroup_min_size,
            subgroup_max_size: info.subgroup_max_size,
            f16: features.contains(wgpu::Features::SHADER_F16),
            cooperative_matrices: cooperative::side(adapter),
            timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
            timestamps_inside_passes: features.contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_PASSES),
            name: info.name,
        }
    }

    fn rows(&self) -> Vec<(&'static str, String)> {
        let subgroups = match (self.subgroups, self.subgroup_min_size == self.subgroup_max_size) {
            (false, _) => "no".into(),
            (true, true) => self.subgroup_min_size.to_string(),
            (true, false) => format!("{} to {}", self.subgroup_min_size, self.subgroup_max_size),
        };
        let timestamps = match (self.timestamps, self.timestamps_inside_passes) {
            (true, true) => "yes, inside passes",
            (true, false) => "yes, around passes",
            _ => "no",
        };
        vec![
            ("kind", self.kind.into()),
            ("backend", self.backend.clone()),
            ("driver", self.driver.clone()),
            ("largest buffer", output::bytes(self.max_buffer_bytes)),
            ("largest binding", output::bytes(self.max_binding_bytes)),
            ("storage buffers", self.storage_buffers.to_string()),
            ("workgroup memory", output::bytes(self.workgroup_memory_bytes.into())),
            ("workgroup size", self.workgroup_invocations.to_string()),
            ("workgroups", format!("{} per dimension", self.workgroups_per_dimension)),
            ("subgroup size", subgroups),
            ("f16", if self.f16 { "yes" } else { "no" }.into()),
            ("matrix units", self.cooperative_matrices.map_or("no".into(), |side| format!("{side} x {side}"))),
            ("timestamps", timestamps.into()),
        ]
    }
}

pub(super) fn run(args: &AdaptersArgs) -> Result<()> {
    // Fails, saying what to install, when there is none.
    adapter::choose(false, &AdapterChoice::Auto)?;
    let adapters: Vec<Adapter> =
        adapter::list(false).iter().enumerate().map(|(index, adapter)| Adapter::new(index, adapter)).collect();
    if args.json {
        return output::print_json(&adapters);
    }
    let mut text = String::new();
    for adapter in &adapters {
        let auto = if adapter.auto { "  (auto)" } else { "" };
        text += &format!("{}: {}{auto}\n", adapter.index, adapter.name);
        for (name, value) in adapter.rows() {
            text += &format!("   {name:<17}{value}\n");
        }
    }
    output::print(&text)
}
