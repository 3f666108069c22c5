//! Storage inputs read as 64-bit words: the same bits in half as many loads, for drivers that load word by word.

/// What is appended to a rewritten text.
const UNPACK: &str = "
// Four values out of two 64-bit words.
fn unpack_wide(words: vec2<u64>) -> vec4<f32> {
    let low = vec2(u32(words.x), u32(words.y));
    let high = vec2(u32(words.x >> 32u), u32(words.y >> 32u));
    return bitcast<vec4<f32>>(vec4(low.x, high.x, low.y, high.y));
}
";

/// A shader's text with every read-only storage array of `vec4<f32>` declared as one of two 64-bit words, and each of its
/// elements unpacked where it is read. Line numbers stay.
pub fn wide_loads(text: &str) -> String {
    const ACCESS: &str = "var<storage, read> ";
    let mut text = text.to_owned();
    let names: Vec<String> = text
        .lines()
        .filter_map(|line| line.split_once(ACCESS)?.1.split_once(": array<vec4<f32>>"))
        .map(|(name, _)| name.to_owned())
        .collect();
    for name in names {
        text = text.replace(&format!("{ACCESS}{name}: array<vec4<f32>>"), &format!("{ACCESS}{name}: array<vec2<u64>>"));
        text = unpacked(&text, &format!("{name}["));
    }
    text + UNPACK
}

/// Every `name[…]` as `unpack_wide(name[…])`.
fn unpacked(text: &str, head: &str) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    let mut rest = text;
    while let Some(at) = rest.find(head) {
        let inside = rest[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
        let mut depth = 0;
        let close = rest[at..].find(|c| {
            depth += i32::from(c == '[') - i32::from(c == ']');
            c == ']' && depth == 0
        });
        let end = close.map_or(rest.len(), |length| at + length + 1);
        // The end of another name (`affine[` within `my_affine[`), or a member.
        let (before, after) = if inside { ("", "") } else { ("unpack_wide(", ")") };
        let end = if inside { at + head.len() } else { end };
        out += &rest[..at];
        out += before;
        out += &rest[at..end];
        out += after;
        rest = &rest[end..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_of_vec4_are_rewritten_and_nothing_else() {
        let text = "@group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (n)\n\
                    @group(0) @binding(2) var<storage, read> mask: array<f32>;\n\
                    @group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;\n\
                    out[i] = x[place[i] + 1u] * max[0] + mask[i] + params.x[2];";
        let found = wide_loads(text);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[0], "@group(0) @binding(1) var<storage, read> x: array<vec2<u64>>; // (n)");
        assert_eq!(lines[1..3], text.lines().collect::<Vec<_>>()[1..3]);
        assert_eq!(lines[3], "out[i] = unpack_wide(x[place[i] + 1u]) * max[0] + mask[i] + params.x[2];");
        assert!(found.ends_with(UNPACK));
    }
}
