//! Cooperative matrices (tensor cores, simdgroup matrices): which of them an adapter has that shaders can use.

use wgpu::CooperativeScalarType::{F16, F32};

use super::Variant;
use super::numbers::in_numbers;

/// What a shader with cooperative matrices needs.
pub const NEEDS: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// Workgroup memory that the largest tile of a side takes is no more than this, in bytes; WebGPU promises 16,384.
const fn room(side: u32) -> u32 {
    if side == 16 { 40 << 10 } else { 32 << 10 }
}

/// Subgroups that the largest workgroup of a side has.
pub const fn subgroups(side: u32) -> u32 {
    if side == 16 { 16 } else { 8 }
}

/// The side of the adapter's square matrices with f16 factors and f32 sums; `None` without any that can be used. Vulkan
/// lists 16 or 8, Metal 8.
pub fn side(adapter: &wgpu::Adapter) -> Option<u32> {
    let (info, limits) = (adapter.get_info(), adapter.limits());
    let lanes = limits.max_compute_invocations_per_workgroup.min(limits.max_compute_workgroup_size_x);
    let fits = |side| {
        lanes >= subgroups(side) * largest_subgroup(&info) && limits.max_compute_workgroup_storage_size >= room(side)
    };
    listed(&adapter.cooperative_matrix_properties()).filter(|&side| adapter.features().contains(NEEDS) && fits(side))
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

/// A shader's text for a variant's side: types cannot be overridden, and the files have those of 16. `numbers`: matrices lie
/// in arrays of numbers ([`in_numbers`]).
pub fn sized(text: &str, variant: &Variant, numbers: bool) -> String {
    let side = variant.sets("SIDE").unwrap_or(16);
    let text = text.replace("coop_mat16x16", &format!("coop_mat{side}x{side}"));
    if numbers { in_numbers(&text) } else { text }
}

/// Rows and columns of the outputs of a tile on matrices.
pub fn sizes(variant: &Variant) -> [u32; 2] {
    let [side, below, beside, down, across] =
        ["SIDE", "BELOW", "BESIDE", "DOWN", "ACROSS"].map(|name| variant.constant(name));
    [below * down * side, beside * across * side]
}

/// Bytes of workgroup memory that such a tile takes at most, whichever way its factors go; see `cooperative.wgsl`.
pub fn memory(variant: &Variant) -> u32 {
    let factor = |lines: u32| (2 * lines * (32 + 8)).max(2 * 32 * (lines + 8));
    let [rows, columns] = sizes(variant).map(factor);
    let [side, below, beside] = ["SIDE", "BELOW", "BESIDE"].map(|name| variant.constant(name));
    rows + columns + 4 * (below * beside + 1) * side * side + 16
}

/// Lanes of a workgroup: `subgroups` as large as they may be, since a driver chooses within the adapter's range (where it takes
/// smaller ones, the others repeat the last one's work), and one for each two of a tile's rows and columns, since a lane loads
/// at most 4 patches of each.
fn lanes(subgroups: u32, sizes: [u32; 2], largest: u32) -> u32 {
    (subgroups * largest).max(sizes[0] / 2).max(sizes[1] / 2)
}

/// The override constants of a variant on an adapter with subgroups of `smallest` to `largest` lanes. Its factors are `scaled` or not
/// where they are rounded to half precision; those that are split always are.
pub fn constants(variant: &Variant, [smallest, largest]: [u32; 2], scaled: bool) -> Vec<(&'static str, f64)> {
    let mut constants = variant.constants.to_vec();
    if variant.needs.contains(NEEDS) {
        constants.push(("SCALED", f64::from(u8::from(scaled || !variant.rounds()))));
    }
    if let Some(subgroups) = variant.sets("SUBGROUPS") {
        constants.push(("LANES", f64::from(subgroups * largest)));
        constants.push(("SPARE", f64::from(u8::from(smallest < largest))));
    } else if variant.needs.contains(NEEDS) {
        let subgroups = variant.constant("BELOW") * variant.constant("BESIDE");
        let lanes = lanes(subgroups, sizes(variant), largest);
        constants.push(("LANES", f64::from(lanes)));
        constants.push(("SPARE", f64::from(u8::from(lanes > subgroups * smallest))));
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
        const CONSTANTS: &[(&str, f64)] =
            &[("SIDE", 16.0), ("BELOW", 2.0), ("BESIDE", 2.0), ("DOWN", 4.0), ("ACROSS", 4.0)];
        let set = |needs, sizes| {
            let all = constants(&Variant::needing("128x128", CONSTANTS, needs), sizes, true);
            ["LANES", "SPARE"].map(|name| all.iter().find(|(n, _)| *n == name).map(|(_, value)| *value))
        };
        let of = |lanes, spare| [Some(lanes), Some(spare)];
        assert_eq!(set(NEEDS, [32, 32]), of(128.0, 0.0));
        assert_eq!(set(NEEDS, [32, 64]), of(256.0, 1.0));
        assert_eq!(set(NEEDS, [8, 8]), of(64.0, 1.0), "two rows a lane");
        assert_eq!(set(wgpu::Features::SHADER_F16, [32, 32]), [None; 2]);
        let eight = Variant::needing("8", &[("SIDE", 8.0)], NEEDS);
        assert_eq!(sized("alias Sum = coop_mat16x16<f32, C>;", &eight, true), "alias Sum = coop_mat8x8<f32, C>;");
    }
}
