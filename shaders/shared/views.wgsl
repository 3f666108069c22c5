// The transformations of a named set: view j = rotation * orders + order. Appended after a kernel that calls it;
// declares nothing but functions. The tables are those of src/base/transforms.rs.

// Where pixel (y, x) of an image turned by quarters counter-clockwise comes from, in pixels of the image of `height`
// rows and `width` columns: at t.x + y * t.y + x * t.z. Odd turns need a square image.
fn turned(turns: u32, height: u32, width: u32) -> vec3<i32> {
    let h = i32(height);
    let w = i32(width);
    switch turns & 3u {
        case 1u: { return vec3(w - 1, -1, w); }
        case 2u: { return vec3(h * w - 1, -w, -1); }
        case 3u: { return vec3((h - 1) * w, 1, -w); }
        default: { return vec3(0, w, 1); }
    }
}

// Channel order of a view: out channel c is in channel order[c]. Of `orders`, 1 is the identity alone, 3 the cyclic
// ones, 6 all.
fn colour_order(order: u32, orders: u32) -> vec3<u32> {
    var place = order;
    if orders == 3u && order > 0u {
        place = order + 2u;
    }
    switch place {
        case 1u: { return vec3(0u, 2u, 1u); }
        case 2u: { return vec3(1u, 0u, 2u); }
        case 3u: { return vec3(1u, 2u, 0u); }
        case 4u: { return vec3(2u, 0u, 1u); }
        case 5u: { return vec3(2u, 1u, 0u); }
        default: { return vec3(0u, 1u, 2u); }
    }
}
