// What the weight gradients with 3 taps a row share (conv2d_weight_grad_sliding.wgsl, conv2d_weight_grad_array.wgsl): each half of
// a group of 8 lanes has a block of 4 slots and a part of its own. Appended, with panel.wgsl and halves.wgsl, after a kernel with their bindings,
// parameters and STRIDE.

// 4 input channels at a column, from its place in x; zero in columns past `end`, and before the first, which wrap round.
fn load(place: i32, column: i32, end: u32) -> vec4<f32> {
    let inside = u32(column) < end;
    return select(vec4(0.0), x[select(0u, u32(place), inside)], inside);
}

// 4 output channels of dy at a pixel of a line, from the line's place; zero past its end.
fn upstream(line: u32, ox: u32) -> vec4<f32> {
    let end = params.out_width - 1u;
    return dy[line + min(ox, end) * params.outputs] * select(0.0, 1.0, ox <= end);
}

// A lane's row of taps and its 4 input channels, and the part that it sums.
struct Slot {
    g: u32,
    ky: u32,
    c: u32,
    number: u32,
}

// Blocks of 4 slots lie one after the other, part by part.
fn slot_of(half: u32, lane: u32) -> Slot {
    let slots = all_slots();
    let blocks = (slots + 3u) / 4u;
    let number = half % blocks * 4u + lane % 4u;
    let own = min(number, slots - 1u);
    return Slot(half / blocks, own / params.channels, own % params.channels, number);
}

fn all_slots() -> u32 {
    return params.kernel_height * params.channels;
}

fn first_line(g: u32) -> Line {
    let number = g * params.lines;
    return Line(number / params.out_height, number % params.out_height, number);
}

// A line of dy and the row of x under it.
struct Line {
    r: u32,
    oy: u32,
    number: u32,
}

fn after(line: Line) -> Line {
    let full = line.oy + 1u == params.out_height;
    return Line(line.r + select(0u, 1u, full), select(line.oy + 1u, 0u, full), line.number + 1u);
}

// Where a lane reads, and how far; lines from `lines` on have no columns in x, so any of dy will do.
struct Places {
    x: i32,   // column 0
    end: u32, // columns
    dy: u32,  // 4 output channels at pixel 0
}

fn places(line: Line, lines: u32, slot: Slot, n: u32) -> Places {
    let iy = i32(line.oy * STRIDE + slot.ky) - i32(params.padding);
    let row = (i32(line.r * params.height) + iy) * i32(params.width * params.channels);
    let end = select(0u, params.width, u32(iy) < params.height && line.number < lines);
    let pixel = min(line.number, lines - 1u) * params.out_width;
    return Places(row + i32(slot.c), end, pixel * params.outputs + min(n, params.outputs - 1u));
}
