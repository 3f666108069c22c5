// Gradient of a convolution by its weights on cooperative matrices, as in conv2d_weight_grad.wgsl, with factors rounded
// to half precision.
//
//   part[g, ky, kx, c, n] = sum over the g-th lines (r, oy), and ox, of
//                           x[r, oy·stride + ky − padding, ox·stride + kx − padding, c] · dy[r, oy, ox, n]
//
// Shapes     x (R, H, W, C), dy (R, OH, OW, Cout) -> part (parts, kh·kw·pad4(C), Cout); sum_parts.wgsl adds the parts
// Dispatch   (blocks of ROWS taps and channels, blocks of COLUMNS output channels, parts)
// Tile       a workgroup computes ROWS by COLUMNS outputs, each subgroup 1 to 16 matrices of them
// Shared     32 steps of both factors in half precision and a matrix of sums a subgroup, at most 39,952 bytes
//            (cooperative.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each part is summed in one order of r, oy, ox, as the matrix unit adds: the same bits every run

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
    parts: u32,
    lines: u32, // lines a part; a line is one r, oy
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;          // (R, H, W, C)
@group(0) @binding(2) var<storage, read> dy: array<vec4<f32>>;         // (R, OH, OW, Cout)
@group(0) @binding(3) var<storage, read_write> part: array<vec4<f32>>; // (parts, kh·kw·pad4(C), Cout)

@compute @workgroup_size(LANES)
fn conv2d_weight_grad_coop(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    let own = part_of(group.z);
    here = own;
    tile(group.x * ROWS, group.y * COLUMNS, steps(own), lane, subgroup, sublane);
}
