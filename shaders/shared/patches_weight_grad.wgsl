// The factors of a convolution's gradient by its weights as a matrix product: rows are taps and input channels, the inner
// dimension is the output pixels of a part, columns are output channels. Appended after a kernel with
// conv2d_weight_grad.wgsl's parameters and bindings, and patch.wgsl; the kernel sets `here` first.

// As they lie in memory (gpu/elements.rs).
alias x_element = vec4<f32>;
alias dy_element = vec4<f32>;
alias RowVector = x_element;
alias ColumnVector = dy_element;

const ROWS_ALONG_K = false;
const COLUMNS_ALONG_K = false;
// Places outside the image count as zero.
const ROWS_INSIDE = false;

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

// Steps of the inner dimension.
fn steps(part: Part) -> u32 {
    return part.end - part.first;
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

fn next_step(step: Step, vectors: u32) -> Step {
    return moved(step, 4u * vectors);
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

// Where 4 channels lie under the tap at a pixel.
struct Spot {
    at: u32,
    inside: bool, // not outside the image, and not past the part's last pixel
}

fn under(place: RowPlace, step: Step) -> Spot {
    let iy = i32(step.oy * params.stride) + place.ky;
    let ix = i32(step.ox * params.stride) + place.kx;
    // What is negative is large.
    let inside = (u32(iy) < params.height) & (u32(ix) < params.width) & (step.p < here.end);
    let pixel = u32((i32(step.r * params.height) + iy) * i32(params.width) + ix);
    return Spot(select(0u, pixel * params.channels + place.c, inside), inside);
}

fn load_rows(place: RowPlace, step: Step) -> RowPatch {
    let s1 = after(step);
    let s2 = after(s1);
    let p0 = under(place, step);
    let p1 = under(place, s1);
    let p2 = under(place, s2);
    let p3 = under(place, after(s2));
    return RowPatch(
        x_element(x[p0.at]),
        x_element(x[p1.at]),
        x_element(x[p2.at]),
        x_element(x[p3.at]),
        bits(vec4(p0.inside, p1.inside, p2.inside, p3.inside)),
    );
}

// A vector of output channels.
struct ColumnPlace {
    n: u32,
}

// Columns past the last are computed again and not stored.
fn column_place(n: u32) -> ColumnPlace {
    return ColumnPlace(min(n / 4u, params.outputs - 1u));
}

fn load_columns(place: ColumnPlace, step: Step) -> ColumnPatch {
    let pixels = vec4(step.p) + vec4(0u, 1u, 2u, 3u);
    let at = min(pixels, vec4(here.end - 1u)) * params.outputs + place.n;
    return ColumnPatch(
        dy_element(dy[at.x]),
        dy_element(dy[at.y]),
        dy_element(dy[at.z]),
        dy_element(dy[at.w]),
        bits_before(here.end, step.p),
    );
}

fn store(m: u32, n: u32, value: vec4<f32>) {
    if m < 4u * slots() && n / 4u < params.outputs {
        part[(here.index * 4u * slots() + m) * params.outputs + n / 4u] = value;
    }
}
