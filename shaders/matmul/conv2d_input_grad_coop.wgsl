// Gradient of a convolution by its input on cooperative matrices, as in conv2d_input_grad.wgsl, with factors rounded to
// half precision.
//
//   dx[r, iy, ix, c] = sum over ky, kx, n of dy[r, oy, ox, n] · w[ky, kx, c, n]
//   with oy = (iy + padding − ky) / stride and ox = (ix + padding − kx) / stride where both are whole and inside
//
// Shapes     dy (R, OH, OW, Cout), w [kh, kw, pad4(C), Cout] -> dx (R, H, W, C)
// Dispatch   (blocks of ROWS pixels, blocks of COLUMNS channels · fold of x past 65535 groups, stride² phases)
// Tile       a workgroup computes ROWS by COLUMNS outputs, each subgroup 1 to 16 matrices of them
// Shared     32 steps of both factors in half precision and a matrix of sums a subgroup, at most 39,952 bytes
//            (cooperative.wgsl); needs cooperative matrices, f16 and subgroups
// Order      each output is summed in one order of ky, kx, n, as the matrix unit adds: the same bits every run

enable f16;
enable wgpu_cooperative_matrix;

struct Params {
    rows: u32,          // R
    height: u32,        // H
    width: u32,         // W
    channels: u32,      // C
    out_height: u32,    // OH
    out_width: u32,     // OW
    outputs: u32,       // pad4(Cout) / 4
    kernel_height: u32, // kh
    kernel_width: u32,  // kw
    stride: u32,
    padding: u32,
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> dy: array<vec4<f32>>;       // (R, OH, OW, Cout)
@group(0) @binding(2) var<storage, read> w: array<vec4<f32>>;        // [kh, kw, pad4(C), Cout]
@group(0) @binding(3) var<storage, read_write> dx: array<vec4<f32>>; // (R, H, W, C)

@compute @workgroup_size(LANES)
fn conv2d_input_grad_coop(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(subgroup_invocation_id) sublane: u32,
) {
    let phase = phase_of(group.z, vec2(params.height, params.width));
    here = phase;
    let blocks = (params.channels + COLUMNS - 1u) / COLUMNS;
    let first = (group.x + group.y / blocks * groups.x) * ROWS;
    if first < pixels(phase) {
        tile(first, group.y % blocks * COLUMNS, steps(phase), lane, subgroup, sublane);
    }
}
