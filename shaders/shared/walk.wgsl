// A lane's way through the rows of a tensor, or the pixels of one (R, H, W, C), in steps of WIDTH vec4, for which nothing is divided:
// software adapters divide lane by lane. Appended after a kernel that declares `override WIDTH: u32`; declares no bindings.

// Vec4 i of rows of so many: its place in the row, and the row.
fn quad_of(i: u32, quads: u32) -> vec2<u32> {
    return vec2(i % quads, i / quads);
}

// The place WIDTH vec4 on.
fn next_quad(at: vec2<u32>, quads: u32) -> vec2<u32> {
    let next = at + vec2(WIDTH % quads, WIDTH / quads);
    return select(next, vec2(next.x - quads, next.y + 1u), next.x >= quads);
}

struct Place {
    quad: u32, // vec4 of the pixel
    w: u32,
    h: u32,
    r: u32,
}

// How a tensor's pixels lie: H, W and vec4 a pixel; and what a step adds to a place.
struct Walk {
    height: u32,
    width: u32,
    quads: u32,
    step: Place,
}

fn place_of(i: u32, height: u32, width: u32, quads: u32) -> Place {
    let pixel = i / quads;
    let row = pixel / width;
    return Place(i % quads, pixel % width, row % height, row / height);
}

fn walk_through(height: u32, width: u32, quads: u32) -> Walk {
    return Walk(height, width, quads, place_of(WIDTH, height, width, quads));
}

// The place WIDTH vec4 on.
fn next_place(at: Place, walk: Walk) -> Place {
    var next = Place(at.quad + walk.step.quad, at.w + walk.step.w, at.h + walk.step.h, at.r + walk.step.r);
    if next.quad >= walk.quads {
        next.quad -= walk.quads;
        next.w += 1u;
    }
    if next.w >= walk.width {
        next.w -= walk.width;
        next.h += 1u;
    }
    if next.h >= walk.height {
        next.h -= walk.height;
        next.r += 1u;
    }
    return next;
}

// a / b by floats, which vectors have: right for a below 2^20, as the quotient is at least half a step from the next.
// Signed, since vectors convert nothing else in one instruction.
fn quotient(a: u32, b: u32) -> u32 {
    return u32(i32((f32(i32(a)) + 0.5) / f32(i32(b))));
}
