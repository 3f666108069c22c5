// Convolution of NHWC images on cooperative matrices, as in conv2d.wgsl, with the image's part in workgroup
// memory once for all taps.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, stride·oy + ky − padding, stride·ox + kx − padding, c] · w[ky, kx, c, n]
//
// Shapes     x (R, H, W, C), w [kh, kw, pad4(C), Cout] -> y (R, OH, OW, Cout); places outside x count as zero
// Dispatch   (some or all blocks of lines or images, blocks of COLUMNS output channels, fold of x past 65535 groups)
// Tile       a subgroup computes matrices of SIDE positions by SIDE outputs, its weights in registers; SHARES of them share the channels
// Shared     a chunk of channels of the lines and their border, through which weights pass too, and a matrix of sums a subgroup: at most
//            48 KiB (halo.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each output is summed in one order of c, ky, kx, as the matrix unit adds: the same bits every run
// Paper      Ootomo and Yokota, "Recovering single precision accuracy from Tensor Cores while surpassing the FP32 theoretical
//            peak performance", 2022 (factors as sums of two halves, sums outside the unit)

enable f16;
enable wgpu_cooperative_matrix;

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, C)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, OH, OW, Cout)

alias x_element = vec4<f32>;
alias Element = x_element;

fn source(i: u32) -> Element {
    return x_element(x[i]);
}

fn weights(i: u32) -> vec4<f32> {
    return w[i];
}

fn put(i: u32, value: vec4<f32>) {
    y[i] = value;
}

@compute @workgroup_size(LANES)
fn conv2d_halo(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    halo(group.x + group.z * groups.x, groups.x * groups.z, group.y * COLUMNS, lane, subgroup, sublane);
}
