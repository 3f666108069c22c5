// The steps of sums over a kernel's taps and their channels. Appended after a kernel whose text of patches declares
// `tap_vectors() -> u32` (vectors of 4 channels a tap) and `taps_across() -> u32`.

// A tap in rows and columns, and a vector of its channels.
struct Step {
    y: u32,
    x: u32,
    c: u32,
}

fn carried(step: Step) -> Step {
    var s = step;
    while s.c >= tap_vectors() {
        s.c -= tap_vectors();
        s.x++;
        if s.x >= taps_across() {
            s.x = 0u;
            s.y++;
        }
    }
    return s;
}

fn first_step(vector: u32) -> Step {
    return carried(Step(0u, 0u, vector));
}

fn next_step(step: Step, vectors: u32) -> Step {
    return carried(Step(step.y, step.x, step.c + vectors));
}
