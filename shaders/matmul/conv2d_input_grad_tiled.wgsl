// Gradient of a convolution by its input for GPUs, as in conv2d_input_grad.wgsl, with both factors in tiles of workgroup
// memory.
//
//   dx[r, iy, ix, c] = sum over ky, kx, n of dy[r, oy, ox, n] · w[ky, kx, c, n]
//   with oy = (iy + padding − ky) / stride and ox = (ix + padding − kx) / stride where both are whole and inside
//
// Shapes     dy (R, OH, OW, Cout), w [kh, kw, pad4(C), Cout] -> dx (R, H, W, C)
// Dispatch   (blocks of ROWS pixels, blocks of COLUMNS channels · fold of x past 65535 groups, stride² phases)
// Tile       a workgroup computes ROWS by COLUMNS outputs, a lane 8 by 4 or 8 by 8 of them in registers
// Shared     16 steps of both factors, at most 13,312 bytes (tile.wgsl)
// Order      each output is summed by one lane in one order of ky, kx, n: the same bits every run

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
fn conv2d_input_grad_tiled(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let phase = phase_of(group.z, vec2(params.height, params.width));
    here = phase;
    let blocks = (params.channels + COLUMNS - 1u) / COLUMNS;
    let first = (group.x + group.y / blocks * groups.x) * ROWS;
    if first < pixels(phase) {
        tile(first, group.y % blocks * COLUMNS, steps(phase), lane);
    }
}
