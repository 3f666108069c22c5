//! Storage arrays that hold other elements than a shader's text declares: half-precision floats; texels of a texture, and
//! 64-bit words, which are the same bits in cheaper loads for drivers that load word by word. Line numbers stay.

use super::texels;

/// What is appended to a text with arrays in words.
const WORDS: &str = "
// Four values out of two 64-bit words, and back.
fn unpack_wide_bits(words: vec2<u64>) -> vec4<u32> {
    let low = vec2(u32(words.x), u32(words.y));
    let high = vec2(u32(words.x >> 32u), u32(words.y >> 32u));
    return vec4(low.x, high.x, low.y, high.y);
}

fn unpack_wide(words: vec2<u64>) -> vec4<f32> {
    return bitcast<vec4<f32>>(unpack_wide_bits(words));
}

fn pack_wide_bits(bits: vec4<u32>) -> vec2<u64> {
    return vec2(u64(bits.x) | u64(bits.y) << 32u, u64(bits.z) | u64(bits.w) << 32u);
}

fn pack_wide(values: vec4<f32>) -> vec2<u64> {
    return pack_wide_bits(bitcast<vec4<u32>>(values));
}
";

/// What is appended to a text that reads and writes half-precision arrays in words.
const PACKED: &str = "
// Four values out of a 64-bit word of half-precision floats.
fn unpack_half_wide(word: u64) -> vec4<f32> {
    return vec4(unpack2x16float(u32(word)), unpack2x16float(u32(word >> 32u)));
}

fn unpack_half(words: vec2<u32>) -> vec4<f32> {
    return vec4(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn pack_half(values: vec4<f32>) -> vec2<u32> {
    return vec2(pack2x16float(values.xy), pack2x16float(values.zw));
}
";

/// What is appended to a text with arrays in textures.
fn texel() -> String {
    let (mask, shift) = (texels::WIDTH - 1, texels::WIDTH.trailing_zeros());
    format!(
        "
// Where a texture holds element i of an array.
fn texel(i: u32) -> vec2<u32> {{
    return vec2(i & {mask}u, i >> {shift}u);
}}
"
    )
}

/// How an array is declared instead, and what turns its elements into the declared ones and back.
pub(super) struct Elements {
    pub declaration: String,
    /// The value at an index.
    pub load: Box<dyn Fn(&str) -> String>,
    pub store: Store,
    /// A type of the text that is what the array's elements are.
    pub named: Option<String>,
}

/// How a value is written.
pub(super) enum Store {
    /// The element is assigned what this function makes of the value.
    As(&'static str),
    /// This function is given the index and the value.
    By(String),
}

/// A text with the arrays of `halves` kept in half precision, and those of `texels` in textures. `words`: other arrays of
/// `vec4<f32>` and `vec4<u32>` are read and written in 64-bit words, and halves in words too.
///
/// A text that declares `alias x_element = vec4<f32>;` and reads `x_element(x[…])` gets the elements of `x` as they lie in memory:
/// halves stay halves, unless they are in words or in a texture.
pub fn kept_as(text: &str, halves: &[&str], texels: &[&str], words: bool) -> String {
    let mut text = text.to_owned();
    let [mut wide, mut packed, mut half, mut textures] = [false; 4];
    for Array { name, access, element: declared } in arrays(&text) {
        let read = access == "read";
        let array = |element: &str, load: &'static str, store: &'static str| {
            let element_of = name.clone();
            Elements {
                declaration: format!("var<storage, {access}> {name}: array<{element}>"),
                load: Box::new(move |i| format!("{load}({element_of}[{i}])")),
                store: Store::As(store),
                named: None,
            }
        };
        let elements = match (halves.contains(&name.as_str()), declared.as_str()) {
            _ if texels.contains(&name.as_str()) => {
                let half = halves.contains(&name.as_str());
                let format = texels::format(&declared, half).filter(|_| read || !half);
                let format = format.unwrap_or_else(|| panic!("`{name}` cannot be in a texture"));
                textures = true;
                let lane = if declared == "f32" { ".x" } else { "" };
                // WGSL's names are wgpu's in small letters.
                let format = format!("{format:?}").to_lowercase();
                // What is written as well stays, and has a texture beside it.
                let (buffer, from, store) = match read {
                    true => (String::new(), name.clone(), ""),
                    false => {
                        let place = bound_at(&text, &name) - 1 + texels::UPDATED;
                        let in_words = words && declared == "vec4<f32>";
                        wide |= in_words;
                        let (element, store) =
                            if in_words { ("vec2<u64>", "pack_wide") } else { (declared.as_str(), "") };
                        let buffer =
                            format!("var<storage, {access}> {name}: array<{element}>; @group(0) @binding({place}) ");
                        (buffer, format!("{name}_before"), store)
                    }
                };
                let declaration = format!("{buffer}var {from}: texture_storage_2d<{format}, read>");
                let load = move |i: &str| format!("textureLoad({from}, texel(u32({i}))){lane}");
                Elements { declaration, load: Box::new(load), store: Store::As(store), named: None }
            }
            // Matrices are stored to where their elements lie.
            (false, "vec4<f32>") if words && !text.contains(&format!("&{name}[")) => {
                wide = true;
                array("vec2<u64>", "unpack_wide", "pack_wide")
            }
            (false, "vec4<u32>") if words => {
                wide = true;
                array("vec2<u64>", "unpack_wide_bits", "pack_wide_bits")
            }
            (true, "vec4<f32>") if words => {
                packed = true;
                match read {
                    true => array("u64", "unpack_half_wide", ""),
                    false => array("vec2<u32>", "unpack_half", "pack_half"),
                }
            }
            (true, "vec4<f32>") => {
                half = true;
                let named = format!("{name}_element");
                text = text.replace(&format!("alias {named} = {declared};"), &format!("alias {named} = vec4<f16>;"));
                Elements { named: Some(named), ..array("vec4<f16>", "vec4<f32>", "vec4<f16>") }
            }
            (true, "f32") => {
                half = true;
                array("f16", "f32", "f16")
            }
            _ => continue,
        };
        text = text.replace(&format!("var<storage, {access}> {name}: array<{declared}>"), &elements.declaration);
        text = converted(&text, &format!("{name}["), &elements);
    }
    if half && !text.contains("enable f16;") {
        text.insert_str(0, "enable f16; ");
    }
    if wide {
        text += WORDS;
    }
    if packed {
        text += PACKED;
    }
    if textures {
        text += &texel();
    }
    text
}

/// The number of an array's binding.
fn bound_at(text: &str, name: &str) -> u32 {
    let line = text.lines().find(|line| line.contains(&format!("> {name}: array<")));
    let number = line.and_then(|line| line.split_once("@binding(")?.1.split_once(')')?.0.parse().ok());
    number.unwrap_or_else(|| panic!("`{name}` has no binding"))
}

/// Whether an array can be kept in half precision.
pub fn can_be_half(text: &str, name: &str) -> bool {
    arrays(text).iter().any(|array| array.name == name && matches!(array.element.as_str(), "f32" | "vec4<f32>"))
}

/// A storage array as a text declares it.
pub struct Array {
    /// Its name.
    pub name: String,
    access: String,
    /// The type of its elements.
    pub element: String,
}

/// The storage arrays of a text.
pub fn arrays(text: &str) -> Vec<Array> {
    let parse = |line: &str| {
        let (access, rest) = line.split_once("var<storage, ")?.1.split_once("> ")?;
        let (name, rest) = rest.split_once(": array<")?;
        let element = rest.split_once(">;")?.0;
        Some(Array { name: name.to_owned(), access: access.to_owned(), element: element.to_owned() })
    };
    text.lines().filter_map(parse).collect()
}

/// Every `name[…]` that is read as `load(name[…])`, every `name[…] = value;` as `name[…] = store(value);`, sums and products
/// in place likewise; what has its address taken stays. `head` is `name[`.
pub(super) fn converted(text: &str, head: &str, elements: &Elements) -> String {
    let mut out = String::with_capacity(text.len() + 256);
    let mut rest = text;
    while let Some(at) = rest.find(head) {
        let (before, from) = rest.split_at(at);
        out += before;
        let comment = out.rsplit('\n').next().is_some_and(|line| line.contains("//"));
        // The end of another name (`affine[` within `my_affine[`), a member, or an address.
        let other = out.chars().next_back().is_some_and(|c| c.is_alphanumeric() || ['_', '.', '&'].contains(&c));
        if comment || other {
            out += head;
            rest = &from[head.len()..];
            continue;
        }
        let end = closing(from, ['[', ']']).unwrap_or(from.len() - 1);
        let index = converted(&from[head.len()..end], head, elements);
        let element = format!("{head}{index}]");
        rest = &from[end + 1..];
        let read = (elements.load)(&index);
        let assignments = [(" = ", String::new()), (" += ", format!("{read} + ")), (" *= ", format!("{read} * "))];
        let assigned =
            assignments.into_iter().find_map(|(sign, old)| Some((old, rest.strip_prefix(sign)?.split_once(';')?)));
        match assigned {
            Some((old, (value, after))) => {
                let value = converted(value, head, elements);
                let value = if old.is_empty() { value } else { format!("{old}({value})") };
                out += &match &elements.store {
                    Store::As(function) => format!("{element} = {function}({value});"),
                    Store::By(function) => format!("{function}({index}, {value});"),
                };
                rest = after;
            }
            None if elements.named.as_ref().is_some_and(|named| out.ends_with(&format!("{named}("))) => out += &element,
            None => out += &read,
        }
    }
    out + rest
}

/// Where the first bracket of a text is closed.
pub(super) fn closing(text: &str, [open, close]: [char; 2]) -> Option<usize> {
    let mut depth = 0;
    text.find(|c| {
        depth += i32::from(c == open) - i32::from(c == close);
        c == close && depth == 0
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "// out[i] = x[i]\n\
        @group(0) @binding(1) var<storage, read> x: array<vec4<f32>>; // (n)\n\
        @group(0) @binding(2) var<storage, read> mask: array<f32>;\n\
        @group(0) @binding(3) var<storage, read_write> out: array<vec4<f32>>;\n\
        out[i] = x[place[i] + 1u] * max[0] + mask[i] + params.x[2] + out[out[0].x]; // x[0]\n\
        let y = x[u32(x[1].x)].xy;";

    #[test]
    fn inputs_become_textures() {
        let found = kept_as(TEXT, &[], &["x", "mask"], true);
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[1], "@group(0) @binding(1) var x: texture_storage_2d<rgba32float, read>; // (n)");
        assert_eq!(lines[2], "@group(0) @binding(2) var mask: texture_storage_2d<r32float, read>;");
        assert_eq!(lines[3], "@group(0) @binding(3) var<storage, read_write> out: array<vec2<u64>>;");
        let sum = "out[i] = pack_wide(textureLoad(x, texel(u32(place[i] + 1u))) * max[0] + textureLoad(mask, texel(u32(i))).x \
                   + params.x[2] + unpack_wide(out[unpack_wide(out[0]).x])); // x[0]";
        assert_eq!(lines[4], sum);
        assert_eq!(lines[5], "let y = textureLoad(x, texel(u32(u32(textureLoad(x, texel(u32(1))).x)))).xy;");
        assert!(found.ends_with(&format!("{WORDS}{}", texel())) && texel().contains("vec2(i & 4095u, i >> 12u)"));
        let floats = kept_as(TEXT, &[], &["x"], false);
        assert!(floats.contains("out[i] = textureLoad(x,") && floats.contains(" + out[out[0].x];"));
        // What is updated is read from a texture and written to the buffer.
        let updated = "@group(0) @binding(5) var<storage, read_write> s: array<f32>; // (n)\ns[k] += s[0] + 1.0;";
        let lines = "@group(0) @binding(5) var<storage, read_write> s: array<f32>; @group(0) @binding(36) var s_before: \
                     texture_storage_2d<r32float, read>; // (n)\n\
                     s[k] = (textureLoad(s_before, texel(u32(k))).x + (textureLoad(s_before, texel(u32(0))).x + 1.0));";
        assert_eq!(kept_as(updated, &[], &["s"], false), format!("{lines}{}", texel()));
        let wide = kept_as(&updated.replace("array<f32>", "array<vec4<f32>>"), &[], &["s"], true);
        assert!(wide.contains(
            "s: array<vec2<u64>>; @group(0) @binding(36) var s_before: texture_storage_2d<rgba32float, read>;"
        ));
        assert!(wide.contains("s[k] = pack_wide(textureLoad(s_before, texel(u32(k))) + ("));
        // Half precision is the texture's format.
        assert_eq!(kept_as(TEXT, &["x"], &["x", "mask"], true), found.replace("rgba32float", "rgba16float"));
    }

    #[test]
    fn arrays_of_vec4_are_read_and_written_in_words_and_nothing_else_changes() {
        let found = kept_as(TEXT, &[], &[], true);
        let (lines, before): (Vec<&str>, Vec<&str>) = (found.lines().collect(), TEXT.lines().collect());
        assert_eq!(lines[0], before[0]);
        assert_eq!(lines[1], "@group(0) @binding(1) var<storage, read> x: array<vec2<u64>>; // (n)");
        assert_eq!(lines[2], before[2]);
        assert_eq!(lines[3], "@group(0) @binding(3) var<storage, read_write> out: array<vec2<u64>>;");
        let sum = "out[i] = pack_wide(unpack_wide(x[place[i] + 1u]) * max[0] + mask[i] + params.x[2] \
                   + unpack_wide(out[unpack_wide(out[0]).x])); // x[0]";
        assert_eq!(lines[4], sum);
        assert_eq!(lines[5], "let y = unpack_wide(x[u32(unpack_wide(x[1]).x)]).xy;");
        assert!(found.ends_with(WORDS));
        assert_eq!(kept_as(TEXT, &[], &[], false), TEXT);
    }

    #[test]
    fn whole_numbers_are_read_from_textures_and_words_too() {
        let text = TEXT.replace("array<vec4<f32>>", "array<vec4<u32>>");
        let words = kept_as(&text, &[], &[], true);
        assert!(
            words.contains("x: array<vec2<u64>>;")
                && words.contains("let y = unpack_wide_bits(x[u32(unpack_wide_bits(")
        );
        assert!(words.contains("out[i] = pack_wide_bits(unpack_wide_bits(x[place[i] + 1u]) * max[0]"));
        let texels = kept_as(&text, &[], &["x"], false);
        assert!(
            texels.contains("var x: texture_storage_2d<rgba32uint, read>;")
                && texels.contains("out[i] = textureLoad(x,")
        );
    }

    #[test]
    fn halves_are_converted_where_they_are_read_and_written() {
        let found = kept_as(TEXT, &["x", "mask", "out"], &[], false);
        let (lines, before): (Vec<&str>, Vec<&str>) = (found.lines().collect(), TEXT.lines().collect());
        assert_eq!(lines[0], format!("enable f16; {}", before[0]));
        assert_eq!(lines[1], "@group(0) @binding(1) var<storage, read> x: array<vec4<f16>>; // (n)");
        assert_eq!(lines[2], "@group(0) @binding(2) var<storage, read> mask: array<f16>;");
        assert_eq!(lines[3], "@group(0) @binding(3) var<storage, read_write> out: array<vec4<f16>>;");
        let sum = "out[i] = vec4<f16>(vec4<f32>(x[place[i] + 1u]) * max[0] + f32(mask[i]) + params.x[2] \
                   + vec4<f32>(out[vec4<f32>(out[0]).x])); // x[0]";
        assert_eq!(lines[4], sum);
        assert_eq!(lines.len(), before.len());
        let words = kept_as(TEXT, &["x", "out"], &[], true);
        assert!(words.contains("x: array<u64>;") && words.contains("out: array<vec2<u32>>;"));
        assert!(words.contains("out[i] = pack_half(unpack_half_wide(x[place[i] + 1u]) * max[0] + mask[i]"));
        assert!(words.ends_with(PACKED));
        assert!(can_be_half(TEXT, "mask") && !can_be_half(TEXT, "place"));
        let sum = "var<storage, read_write> s: array<f32>;\ns[k] += s[0] + 1.0;";
        let own =
            "var<storage, read> x: array<vec4<f32>>;\nalias x_element = vec4<f32>;\nlet v = x_element(x[i]) + x[j];";
        let as_they_lie = "alias x_element = vec4<f16>;\nlet v = x_element(x[i]) + vec4<f32>(x[j]);";
        assert!(kept_as(own, &["x"], &[], false).ends_with(as_they_lie));
        assert!(kept_as(own, &["x"], &[], true).contains("alias x_element = vec4<f32>;"));
        assert!(kept_as(sum, &["s"], &[], false).ends_with("s[k] = f16(f32(s[k]) + (f32(s[0]) + 1.0));"));
    }
}
