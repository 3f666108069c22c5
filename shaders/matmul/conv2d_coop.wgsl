// Convolution of NHWC images on cooperative matrices, as in conv2d.wgsl, with factors rounded to half precision.
//
//   y[r, oy, ox, n] = sum over ky, kx, c of x[r, oy·stride + ky − padding, ox·stride + kx − padding, c] · w[ky, kx, c, n]
//
// Shapes     x (R, H, W, C), w [kh, kw, pad4(C), Cout] -> y (R, OH, OW, Cout); places outside x count as zero
// Dispatch   (blocks of ROWS pixels, blocks of COLUMNS output channels, fold of x past 65535 groups)
// Tile       a workgroup computes ROWS by COLUMNS outputs, each subgroup 1 to 16 matrices of them
// Shared     32 steps of both factors in half precision and a matrix of sums a subgroup, at most 39,952 bytes
//            (cooperative.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each output is summed in one order of ky, kx, c, as the matrix unit adds: the same bits every run

enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    rows: u32,          // R
    height: u32,        // H
    width: u32,         // W
    channels: u32,      // pad4(C) / 4
    out_height: u32,    // OH
    out_width: u32,     // OW
    outputs: u32,       // pad4(Cout) / 4
    kernel_height: u32, // kh
    kernel_width: u32,  // kw
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;       // (R, H, W, C)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;       // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>; // (R, OH, OW, Cout)

@compute @workgroup_size(LANES)
fn conv2d_coop(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    tile((group.x + group.z * groups.x) * ROWS, group.y * COLUMNS, steps(), lane, subgroup, sublane);
}
