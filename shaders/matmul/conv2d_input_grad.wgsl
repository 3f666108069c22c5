// Gradient of a convolution by its input, as an implicit matrix product of input pixels by input channels.
//
//   dx[r, iy, ix, c] = sum over ky, kx, n of dy[r, oy, ox, n] · w[ky, kx, c, n]
//   with oy = (iy + padding − ky) / stride and ox = (ix + padding − kx) / stride where both are whole and inside
//
// Shapes     dy (R, OH, OW, Cout), w [kh, kw, pad4(C), Cout] -> dx (R, H, W, C)
// Dispatch   (stride² phases, pixel blocks, blocks of 16 channels · fold of y past 65535 groups); phases are neighbours, as their work
//            differs and a software adapter gives each core one half of the groups
// Tile       a lane computes 8 pixels, WIDTH apart, by 16 input channels in registers
// Shared     none
// Order      each output is summed by one lane over ky, kx, n in rising order: the same bits every run
//
// Pixels of one phase have the same iy mod stride and ix mod stride, hence the same taps: none is tried in vain.

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

override WIDTH: u32 = 64u; // lanes a workgroup

@compute @workgroup_size(WIDTH)
fn conv2d_input_grad(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let phase = phase_of(group.x, vec2(params.height, params.width));
    let blocks = (params.channels + 15u) / 16u;
    let start = (group.y + group.z / blocks * groups.y) * 8u * WIDTH;
    if start >= params.rows * phase.size.x * phase.size.y {
        return;
    }
    let first = start + lane;
    let c = group.z % blocks * 16u;
    // Rows of w past the last are computed again and not stored.
    let last = (params.channels + 3u) / 4u * 4u - 1u;
    let c0 = min(c + 0u, last) * params.outputs;
    let c1 = min(c + 1u, last) * params.outputs;
    let c2 = min(c + 2u, last) * params.outputs;
    let c3 = min(c + 3u, last) * params.outputs;
    let c4 = min(c + 4u, last) * params.outputs;
    let c5 = min(c + 5u, last) * params.outputs;
    let c6 = min(c + 6u, last) * params.outputs;
    let c7 = min(c + 7u, last) * params.outputs;
    let c8 = min(c + 8u, last) * params.outputs;
    let c9 = min(c + 9u, last) * params.outputs;
    let c10 = min(c + 10u, last) * params.outputs;
    let c11 = min(c + 11u, last) * params.outputs;
    let c12 = min(c + 12u, last) * params.outputs;
    let c13 = min(c + 13u, last) * params.outputs;
    let c14 = min(c + 14u, last) * params.outputs;
    let c15 = min(c + 15u, last) * params.outputs;

    let p0 = corner(phase, first);
    let p1 = corner(phase, first + WIDTH);
    let p2 = corner(phase, first + 2u * WIDTH);
    let p3 = corner(phase, first + 3u * WIDTH);
    let p4 = corner(phase, first + 4u * WIDTH);
    let p5 = corner(phase, first + 5u * WIDTH);
    let p6 = corner(phase, first + 6u * WIDTH);
    let p7 = corner(phase, first + 7u * WIDTH);
    var s0 = Sums();
    var s1 = Sums();
    var s2 = Sums();
    var s3 = Sums();
    var s4 = Sums();
    var s5 = Sums();
    var s6 = Sums();
    var s7 = Sums();

    var j = vec2(0u);
    for (var ky = phase.first_tap.x; ky < params.kernel_height; ky += params.stride) {
        j.y = 0u;
        for (var kx = phase.first_tap.y; kx < params.kernel_width; kx += params.stride) {
            let t0 = tap(p0, j);
            let t1 = tap(p1, j);
            let t2 = tap(p2, j);
            let t3 = tap(p3, j);
            let t4 = tap(p4, j);
            let t5 = tap(p5, j);
            let t6 = tap(p6, j);
            let t7 = tap(p7, j);
            let row = (ky * params.kernel_width + kx) * (last + 1u) * params.outputs;
            for (var n = 0u; n < params.outputs; n++) {
                let k = row + n;
                let panel = panel_of_columns(
                    w[k + c0], w[k + c1], w[k + c2], w[k + c3],
                    w[k + c4], w[k + c5], w[k + c6], w[k + c7],
                    w[k + c8], w[k + c9], w[k + c10], w[k + c11],
                    w[k + c12], w[k + c13], w[k + c14], w[k + c15],
                );
                s0 = multiply_add(s0, pixel(t0, n), panel);
                s1 = multiply_add(s1, pixel(t1, n), panel);
                s2 = multiply_add(s2, pixel(t2, n), panel);
                s3 = multiply_add(s3, pixel(t3, n), panel);
                s4 = multiply_add(s4, pixel(t4, n), panel);
                s5 = multiply_add(s5, pixel(t5, n), panel);
                s6 = multiply_add(s6, pixel(t6, n), panel);
                s7 = multiply_add(s7, pixel(t7, n), panel);
            }
            j.y++;
        }
        j.x++;
    }

    store(phase, first, c, s0);
    store(phase, first + WIDTH, c, s1);
    store(phase, first + 2u * WIDTH, c, s2);
    store(phase, first + 3u * WIDTH, c, s3);
    store(phase, first + 4u * WIDTH, c, s4);
    store(phase, first + 5u * WIDTH, c, s5);
    store(phase, first + 6u * WIDTH, c, s6);
    store(phase, first + 7u * WIDTH, c, s7);
}
