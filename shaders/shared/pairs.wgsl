// Loads of two floats at a time: a software adapter pays for each element of a load, whatever its width. Appended after
// a kernel that binds its inputs as pairs.

// The 4 floats in two pairs.
fn floats(pairs: vec2<u64>) -> vec4<f32> {
    let low = vec2(u32(pairs.x), u32(pairs.y));
    let high = vec2(u32(pairs.x >> 32u), u32(pairs.y >> 32u));
    return bitcast<vec4<f32>>(vec4(low.x, high.x, low.y, high.y));
}
