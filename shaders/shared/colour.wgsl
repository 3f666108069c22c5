// Brightness, contrast, saturation and hue in a random order, as torchvision's ColorJitter on float images in [0, 1];
// the float64 twin is src/kernels/colour.rs. Appended after a kernel that also has philox.wgsl; declares no bindings.
//
// Brightness, contrast and saturation are blends, clamp(f·x + (1 - f)·anchor, 0, 1), whose anchors are black, the mean
// grey of the image as it is at that point, and the pixel's own grey. So the order of all four is three blends in some
// order, and the place of the hue among them.

// What is done to one image. Blend i (0 to 2): factor, how much of the pixel's grey and of the mean is in its anchor.
struct Plan {
    before: vec3<f32>,   // factors of the blends before the hue, 1 for the others
    after: vec3<f32>,    // factors of the blends after the hue, 1 for the others
    grey: vec3<f32>,     // 1 for saturation
    mean: vec3<f32>,     // the mean grey for contrast, else 0
    hue: f32,            // shift in sixths of the circle; 0 for none
    contrast_at: u32,    // blends before the contrast
    hue_at: u32,         // blends before the hue
    greyscale: bool,
}

// The plan of a draw: strengths are brightness, contrast, saturation, hue.
fn colour_plan(draw: vec4<u32>, key: vec2<u32>, strengths: vec4<f32>, greyscale: f32) -> Plan {
    let amount = philox4x32(vec4(draw.y, draw.z, 16u, 0u), key);
    let choice = philox4x32(vec4(draw.y, draw.z, 17u, 0u), key);
    var factors = vec4(0.0);
    for (var i = 0u; i < 3u; i++) {
        let low = max(1.0 - strengths[i], 0.0);
        factors[i] = low + (1.0 + strengths[i] - low) * unit(amount[i]);
    }
    // The order as the number of a permutation: 6, 2 and 1 orders follow each choice of the first, second and third.
    var number = below(choice.x, 24u);
    var left = 0x3210u; // those not yet chosen, four bits each
    var count = 6u;
    var blends = 0u;
    var plan = Plan();
    for (var i = 0u; i < 4u; i++) {
        let shift = 4u * (number / count);
        number %= count;
        count = max(count / (3u - min(i, 2u)), 1u);
        let kind = (left >> shift) & 0xfu;
        left = (left & ((1u << shift) - 1u)) | ((left >> (shift + 4u)) << shift);
        if kind == 3u {
            plan.hue_at = blends;
            continue;
        }
        plan.before[blends] = factors[kind];
        if kind == 1u {
            plan.contrast_at = blends;
            plan.mean[blends] = 1.0;
        }
        if kind == 2u {
            plan.grey[blends] = 1.0;
        }
        blends++;
    }
    plan.after = plan.before;
    for (var i = 0u; i < 3u; i++) {
        if i < plan.hue_at {
            plan.after[i] = 1.0;
        } else {
            plan.before[i] = 1.0;
        }
    }
    plan.hue = 6.0 * strengths.w * (2.0 * unit(amount.w) - 1.0);
    plan.greyscale = unit(choice.y) < greyscale;
    return plan;
}

// The plan up to the contrast: what the mean is taken of.
fn until_contrast(whole: Plan) -> Plan {
    var plan = whole;
    for (var i = 0u; i < 3u; i++) {
        if i >= plan.contrast_at {
            plan.before[i] = 1.0;
            plan.after[i] = 1.0;
        }
    }
    if plan.hue_at > plan.contrast_at {
        plan.hue = 0.0;
    }
    return plan;
}

fn blended(x: vec4<f32>, factor: f32, grey: f32, mean: f32, luminance: vec4<f32>) -> vec4<f32> {
    let anchor = grey * dot(x, luminance) + mean;
    return clamp(factor * x + vec4((1.0 - factor) * anchor), vec4(0.0), vec4(1.0));
}

// A colour with its hue shifted by so many sixths of the circle; alpha is kept.
fn turned_hue(x: vec4<f32>, shift: f32) -> vec4<f32> {
    let most = max(max(x.x, x.y), x.z);
    let chroma = most - min(min(x.x, x.y), x.z);
    var hue = 4.0 + (x.x - x.y) / max(chroma, 1e-30);
    if most == x.y {
        hue = 2.0 + (x.z - x.x) / max(chroma, 1e-30);
    }
    if most == x.x {
        hue = (x.y - x.z) / max(chroma, 1e-30);
    }
    var k = vec3(5.0, 3.0, 1.0) + vec3(hue + shift + 6.0);
    k -= 6.0 * floor(k / 6.0);
    return vec4(vec3(most) - chroma * clamp(min(k, 4.0 - k), vec3(0.0), vec3(1.0)), x.w);
}

// A pixel after the plan; luminance are the weights of its grey.
fn adjusted(pixel: vec4<f32>, plan: Plan, luminance: vec4<f32>) -> vec4<f32> {
    var x = blended(pixel, plan.before.x, plan.grey.x, plan.mean.x, luminance);
    x = blended(x, plan.before.y, plan.grey.y, plan.mean.y, luminance);
    x = blended(x, plan.before.z, plan.grey.z, plan.mean.z, luminance);
    if plan.hue != 0.0 {
        x = turned_hue(x, plan.hue);
    }
    x = blended(x, plan.after.x, plan.grey.x, plan.mean.x, luminance);
    x = blended(x, plan.after.y, plan.grey.y, plan.mean.y, luminance);
    return blended(x, plan.after.z, plan.grey.z, plan.mean.z, luminance);
}
