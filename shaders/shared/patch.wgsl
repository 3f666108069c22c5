// Patches, which the tiles of matrix products are filled with. Appended after a kernel with a text of patches.

// 4 steps of the inner dimension (s0 to s3) by 4 neighbouring rows or columns.
struct Patch {
    s0: vec4<f32>,
    s1: vec4<f32>,
    s2: vec4<f32>,
    s3: vec4<f32>,
}

// The patch of 4 rows or columns that hold 4 steps each.
fn across(r0: vec4<f32>, r1: vec4<f32>, r2: vec4<f32>, r3: vec4<f32>) -> Patch {
    return Patch(
        vec4(r0.x, r1.x, r2.x, r3.x),
        vec4(r0.y, r1.y, r2.y, r3.y),
        vec4(r0.z, r1.z, r2.z, r3.z),
        vec4(r0.w, r1.w, r2.w, r3.w),
    );
}

// The value where it counts, else zero (whatever the value is).
fn kept(counts: bool, value: vec4<f32>) -> vec4<f32> {
    return select(vec4(0.0), value, counts);
}
