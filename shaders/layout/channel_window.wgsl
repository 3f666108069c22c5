// A window of channels moved to another place, with spatial subsampling, and its transpose.
//
//   mode 0   out[r, h, w, first_out + c] = x[r, h·stride, w·stride, first_in + c]   for c < channels
//   mode 1   out[r, h, w, first_out + c] = x[r, h/stride, w/stride, first_in + c]   for c < channels, where stride
//            divides h and w: the transpose of mode 0 with first_in and first_out exchanged
//   and 0 elsewhere
//
// Shapes     x (R, XH, XW, XC) -> out (R, H, W, C); C and XC padded (pads of out are written as zero)
// Dispatch   one group a line (r, h) of out, or with FLAT one for 4 · WIDTH vec4, folded into y past 65535 groups
// Shared     none
// Order      no reduction

struct Params {
    lines: u32,     // R · H
    height: u32,    // H
    width: u32,     // W
    quads: u32,     // vec4 a pixel of out
    x_height: u32,  // XH
    x_width: u32,   // XW
    x_quads: u32,   // vec4 a pixel of x
    first_in: u32,  // first channel of the window in x
    first_out: u32, // first channel of the window in out
    channels: u32,  // channels of the window
    stride: u32,
    mode: u32,      // 0 subsample, 1 its transpose
}

@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>;         // (R, XH, XW, XC)
@group(0) @binding(2) var<storage, read_write> out: array<vec4<f32>>; // (R, H, W, C)

override WIDTH: u32 = 64u;   // lanes a workgroup
override FLAT: bool = false; // a group takes 4 · WIDTH vec4, whatever their lines: lines are short for a GPU's groups

// Where a line of out, the `h`-th of an image, comes from.
struct Source {
    line: u32,    // of x; of all images
    inside: bool, // else the line is zero
}

fn source_of(line: u32) -> Source {
    let r = line / params.height;
    let h = line % params.height;
    let transposed = params.mode == 1u;
    let row = select(h * params.stride, h / params.stride, transposed);
    return Source(r * params.x_height + row, !transposed || h % params.stride == 0u);
}

// A vec4 of a line; `place` is the pixel of x that a pixel w of out comes from, in the transpose w / stride rounded down.
fn value_at(source: Source, w: u32, place: u32, column: u32) -> vec4<f32> {
    var value = vec4(0.0);
    if source.inside && (params.mode == 0u || place * params.stride == w) {
        let base = (source.line * params.x_width + place) * params.x_quads;
        // c: the channel of the window that the first lane of this vec4 holds; negative before the window.
        let c = i32(4u * column) - i32(params.first_out);
        let end = i32(params.channels);
        let offset = i32(params.first_in) + c;
        if c < end && c > -4 {
            if (offset & 3) == 0 && c >= 0 {
                let all = x[base + u32(offset) / 4u];
                let left = vec4(end - c);
                value = select(vec4(0.0), all, vec4(0, 1, 2, 3) < left);
            } else {
                for (var j = 0; j < 4; j++) {
                    if c + j >= 0 && c + j < end {
                        let channel = u32(offset + j);
                        value[j] = x[base + channel / 4u][channel % 4u];
                    }
                }
            }
        }
    }
    return value;
}

@compute @workgroup_size(WIDTH)
fn channel_window(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) lane: u32,
) {
    let index = group.x + group.y * groups.x;
    let across = params.width * params.quads;
    if FLAT {
        for (var j = 0u; j < 4u; j++) {
            let i = (4u * index + j) * WIDTH + lane;
            let line = i / across;
            if line < params.lines {
                let w = i % across / params.quads;
                let place = select(w * params.stride, w / params.stride, params.mode == 1u);
                out[i] = value_at(source_of(line), w, place, i % params.quads);
            }
        }
        return;
    }
    if index >= params.lines {
        return;
    }
    let source = source_of(index);
    var at = quad_of(lane, params.quads);
    for (var i = lane; i < across; i += WIDTH) {
        let place = select(at.y * params.stride, quotient(at.y, params.stride), params.mode == 1u);
        out[index * across + i] = value_at(source, at.y, place, at.x);
        at = next_quad(at, params.quads);
    }
}
