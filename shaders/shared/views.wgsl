// The transformations of a named set: view j = rotation * orders + order. Appended after a kernel that calls it;
// declares nothing but functions. The tables are those of src/base/transforms.rs.

// Where the pixel (y, x) of an image turned by quarters counter-clockwise comes from in the image of `height` rows and
// `width` columns; odd turns need a square image.
fn turned(turns: u32, y: u32, x: u32, height: u32, width: u32) -> vec2<u32> {
    switch turns & 3u {
        case 1u: { return vec2(x, width - 1u - y); }
        case 2u: { return vec2(height - 1u - y, width - 1u - x); }
        case 3u: { return vec2(height - 1u - x, y); }
        default: { return vec2(y, x); }
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
