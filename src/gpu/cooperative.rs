//! Cooperative matrices (tensor cores, simdgroup matrices): which of them an adapter has that shaders can use.

use wgpu::CooperativeScalarType::{F16, F32};

use super::Variant;

/// What a shader with cooperative matrices needs.
pub const NEEDS: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// Workgroup memory that the largest tile takes is less than this, in bytes; WebGPU promises 16,384.
const MEMORY: u32 = 32 << 10;

/// The side of the adapter's square matrices with f16 factors and f32 sums; `None` without any that can be used. Vulkan
/// lists 16, Metal 8: naga would write either for both.
pub fn side(adapter: &wgpu::Adapter) -> Option<u32> {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let lanes = lanes(2, 0, largest_subgroup(&info));
    let room = limits.max_compute_workgroup_storage_size >= MEMORY
        && limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x) >= lanes;
    listed(&adapter.cooperative_matrix_properties()).filter(|_| adapter.features().contains(NEEDS) && room)
}

/// Lanes of the largest subgroup. wgpu says 64 for Metal, whose simdgroups have 32.
pub fn largest_subgroup(info: &wgpu::AdapterInfo) -> u32 {
    if info.backend == wgpu::Backend::Metal { 32 } else { info.subgroup_max_size }
}

fn listed(properties: &[wgpu::CooperativeMatrixProperties]) -> Option<u32> {
    [16, 8].into_iter().find(|&side| {
        properties.iter().any(|p| [p.m_size, p.n_size, p.k_size] == [side; 3] && [p.ab_type, p.cr_type] == [F16, F32])
    })
}

/// A shader's text for an adapter's side: types cannot be overridden, and the files have those of 16.
pub fn sized(text: &str, side: u32) -> String {
    text.replace("coop_mat16x16", &format!("coop_mat{side}x{side}"))
}

/// Lanes of a workgroup: 4 · `spans` subgroups as large as they may be, since a driver chooses within the adapter's
/// range (where it takes smaller ones, half of them repeat others' work), and one for each of a tile's `lines` (rows and columns), which it loads.
fn lanes(spans: u32, lines: u32, largest: u32) -> u32 {
    (4 * spans * largest).max(lines)
}

/// The override constants of a variant on an adapter with subgroups of `smallest` to `largest` lanes.
pub fn constants(variant: &Variant, [smallest, largest]: [u32; 2]) -> Vec<(&'static str, f64)> {
    let mut constants = variant.constants.to_vec();
    if let Some(subgroups) = variant.sets("SUBGROUPS") {
        constants.push(("LANES", f64::from(subgroups * largest)));
        constants.push(("SPARE", f64::from(u8::from(smallest < largest))));
    } else if variant.needs.contains(NEEDS) {
        let [side, down, across, spans] = ["SIDE", "DOWN", "ACROSS", "SPANS"].map(|name| variant.constant(name));
        constants.push(("LANES", f64::from(lanes(spans, side * (4 * down + spans * across), largest))));
    }
    constants
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_squares_of_half_factors_and_single_sums_count() {
        let of = |sizes: [u32; 3], ab_type, cr_type| wgpu::CooperativeMatrixProperties {
            m_size: sizes[0],
            n_size: sizes[1],
            k_size: sizes[2],
            ab_type,
            cr_type,
            saturating_accumulation: false,
        };
        let useless = [of([16, 8, 16], F16, F32), of([16; 3], F16, F16), of([8; 3], F32, F32)];
        assert_eq!(listed(&useless), None);
        let metal = [useless.as_slice(), &[of([8; 3], F16, F32)]].concat();
        assert_eq!(listed(&metal), Some(8));
        assert_eq!(listed(&[metal.as_slice(), &[of([16; 3], F16, F32)]].concat()), Some(16));
    }

    #[test]
    fn lanes_suffice_for_subgroups_and_loads() {
        const CONSTANTS: &[(&str, f64)] = &[("SIDE", 16.0), ("DOWN", 1.0), ("ACROSS", 4.0), ("SPANS", 1.0)];
        let lanes = |needs, largest| {
            let all = constants(&Variant::needing("4x4", CONSTANTS, needs), [8, largest]);
            all.iter().find(|(name, _)| *name == "LANES").map(|(_, value)| *value)
        };
        assert_eq!([8, 32, 64].map(|n| lanes(NEEDS, n)), [Some(128.0), Some(128.0), Some(256.0)]);
        assert_eq!(lanes(wgpu::Features::SHADER_F16, 32), None);
        assert_eq!(sized("alias Sum = coop_mat16x16<f32, C>;", 8), "alias Sum = coop_mat8x8<f32, C>;");
    }
}
