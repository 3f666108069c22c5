// The factors of a convolution's gradient by its weights as a matrix product: rows are taps and input channels, the inner
// dimension is the output pixels of a part, columns are output channels. Appended after a kernel with
// conv2d_weight_grad.wgsl's parameters and bindings, and patch.wgsl; the kernel sets `here` first.

// The pixels of a part: whole lines (r, oy).
struct Part {
    index: u32,
    first: u32, // pixel
    end: u32,   // the pixel after the last
}

var<private> here: Part;

fn part_of(index: u32) -> Part {
    let end = min((index + 1u) * params.lines, params.rows * params.out_height);
    return Part(index, index * params.lines * params.out_width, end * params.out_width);
}

fn slots() -> u32 {
    return params.kernel_height * params.kernel_width * params.channels;
}

// Rounds of 16 steps.
fn rounds(part: Part) -> u32 {
    return (part.end - part.first + 15u) / 16u;
}

// An output pixel: its number, and where it lies.
struct Step {
    p: u32,
    r: u32,
    oy: u32,
    ox: u32,
}

// The next pixel; what lies past the part is not read.
fn after(step: Step) -> Step {
    var s = Step(step.p + 1u, step.r, step.oy, step.ox + 1u);
    if s.ox == params.out_width {
        s.ox = 0u;
        s.oy++;
    }
    if s.oy == params.out_height {
        s.oy = 0u;
        s.r++;
    }
    return s;
}

fn moved(step: Step, by: u32) -> Step {
    var s = step;
    s.p += by;
    s.ox += by;
    while s.ox >= params.out_width {
        s.ox -= params.out_width;
        s.oy++;
        if s.oy >= params.out_height {
            s.oy = 0u;
            s.r++;
        }
    }
    return s;
}

fn first_step(vector: u32) -> Step {
    let line = here.index * params.lines;
    return moved(Step(here.first, line / params.out_height, line % params.out_height, 0u), 4u * vector);
}

fn next_step(step: Step) -> Step {
    return moved(step, 16u);
}

// A tap relative to the pixel, and a vector of its channels.
struct RowPlace {
    ky: i32, // minus padding
    kx: i32, // minus padding
    c: u32,
}

// Slots past the last are computed again and not stored.
fn row_place(m: u32) -> RowPlace {
    let i = min(m / 4u, slots() - 1u);
    let k = i / params.channels;
    let padding = i32(params.padding);
    return RowPlace(i32(k / params.kernel_width) - padding, i32(k % params.kernel_width) - padding, i % params.channels);
}

// 4 channels under the tap at a pixel; zero outside the image and past the part's last pixel.
fn under(place: RowPlace, step: Step) -> vec4<f32> {
    let iy = i32(step.oy * params.stride) + place.ky;
    let ix = i32(step.ox * params.stride) + place.kx;
    let inside = iy >= 0 && iy < i32(params.height) && ix >= 0 && ix < i32(params.width) && step.p < here.end;
    let pixel = u32((i32(step.r * params.height) + iy) * i32(params.width) + ix);
    let at = select(0u, pixel * params.channels + place.c, inside);
    return kept(inside, x[at]);
}

fn load_rows(place: RowPlace, step: Step) -> Patch {
    let s1 = after(step);
    let s2 = after(s1);
    return Patch(under(place, step), under(place, s1), under(place, s2), under(place, after(s2)));
}

// A vector of output channels.
struct ColumnPlace {
    n: u32,
}

// Columns past the last are computed again and not stored.
fn column_place(n: u32) -> ColumnPlace {
    return ColumnPlace(min(n / 4u, params.outputs - 1u));
}

fn upstream(p: u32, n: u32) -> vec4<f32> {
    let counts = p < here.end;
    let at = select(0u, p, counts) * params.outputs + n;
    return kept(counts, dy[at]);
}

fn load_columns(place: ColumnPlace, step: Step) -> Patch {
    return Patch(
        upstream(step.p, place.n),
        upstream(step.p + 1u, place.n),
        upstream(step.p + 2u, place.n),
        upstream(step.p + 3u, place.n),
    );
}

fn store(m: u32, n: u32, value: vec4<f32>) {
    if m < 4u * slots() && n / 4u < params.outputs {
        part[(here.index * 4u * slots() + m) * params.outputs + n / 4u] = value;
    }
}
