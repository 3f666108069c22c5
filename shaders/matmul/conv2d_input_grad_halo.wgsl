// Gradient of a convolution by its input on cooperative matrices, as in conv2d_input_grad.wgsl, with the part of
// the upstream gradient in workgroup memory once for all taps: the convolution of it with the weights turned round, at stride 2
// (3 by 3 taps, padding 1) four, each of the taps that meet even or odd lines and pixels.
//
//   dx[r, iy, ix, c] = sum over ky, kx, n of dy[r, (iy + padding − ky) / stride, (ix + padding − kx) / stride, n] · w[ky, kx, c, n]
//
// Shapes     dy (R, OH, OW, Cout), w [kh, kw, pad4(C), Cout] -> dx (R, H, W, C); places outside dy and between its own count as zero
// Dispatch   (some or all blocks of lines or images, blocks of COLUMNS channels, fold of x past 65535 groups)
// Tile       a subgroup computes matrices of SIDE positions by SIDE channels, its weights in registers; SHARES of them share the outputs
// Shared     a chunk of outputs of the lines and their border, through which weights pass too, and a matrix of sums a subgroup: at most
//            48 KiB (halo.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each value is summed in one order of n, ky, kx, as the matrix unit adds: the same bits every run
// Paper      Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
//            peak performance", 2022 (factors as sums of two halves, sums outside the unit)

enable f16;
enable wgpu_cooperative_matrix;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;       // (R, OH, OW, Cout)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;        // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>; // (R, H, W, C)

alias dy_element = vec4<f32>;
alias Element = dy_element;

fn source(i: u32) -> Element {
    return dy_element(dy[i]);
}

fn weights(i: u32) -> vec4<f32> {
    return w[i];
}

fn put(i: u32, value: vec4<f32>) {
    dx[i] = value;
}

@compute @workgroup_size(LANES)
fn conv2d_input_grad_halo(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    halo(group.x + group.z * groups.x, groups.x * groups.z, group.y * COLUMNS, lane, subgroup, sublane);
}
