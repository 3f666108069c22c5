//! A kernel's parameters as constants of its text instead of a uniform: then the driver's compiler knows every size, so it unrolls
//! loops and has no divisions to do. Each set of parameters is a pipeline of its own.

use std::fmt::Write as _;

/// How a kernel declares its parameters.
const UNIFORM: &str = "@group(0) @binding(0) var<uniform> params: Params;";
const STRUCT: &str = "struct Params {";

/// The text with `params` (the bytes of `Params`, fields of four bytes) as constants. Lines keep their numbers.
///
/// # Panics
/// When the text has no such struct and uniform, or its fields are not as many numbers as there are bytes for.
pub fn with_constants(text: &str, params: &[u8]) -> String {
    let fields = text.split_once(STRUCT).and_then(|(_, rest)| rest.split_once("\n}")).map(|(fields, _)| fields);
    let fields = fields.expect("every kernel declares `struct Params`").lines();
    let types = fields.filter_map(|line| line.split("//").next()?.trim().strip_suffix(',')?.split_once(':'));
    let mut constant = String::from("const params = Params(");
    let mut words = params.chunks_exact(4).map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]));
    for (i, (name, ty)) in types.enumerate() {
        let word = words.next().unwrap_or_else(|| panic!("no value for {name}"));
        let comma = if i == 0 { "" } else { ", " };
        let written = match ty.trim() {
            "u32" => write!(constant, "{comma}{word}u"),
            "i32" => write!(constant, "{comma}i32({})", word.cast_signed()),
            "f32" => write!(constant, "{comma}f32({:?})", f32::from_bits(word)),
            other => panic!("{name} is a {other}"),
        };
        written.expect("strings take text");
    }
    assert!(words.next().is_none(), "more values than fields");
    assert!(text.contains(UNIFORM), "every kernel declares `{UNIFORM}`");
    text.replace(UNIFORM, &(constant + ");"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "struct Params {\n    rows: u32, // R: how many\n    shift: i32,\n    rate: f32,   // a, b\n}\n\n\
                        @group(0) @binding(0) var<uniform> params: Params;\nfn f() -> u32 { return params.rows; }\n";

    #[test]
    fn numbers_stand_for_the_uniform() {
        let bytes = [7u32, (-2i32).cast_unsigned(), 0.1f32.to_bits()].map(u32::to_le_bytes).concat();
        let text = with_constants(TEXT, &bytes);
        let line = text.lines().nth(6).expect("seven lines");
        assert_eq!(line, "const params = Params(7u, i32(-2), f32(0.1));");
        assert_eq!(text.lines().count(), TEXT.lines().count());
        naga::front::wgsl::parse_str(&text).expect("naga takes it");
    }

    #[test]
    #[should_panic(expected = "no value for rate")]
    fn too_few_numbers_are_refused() {
        with_constants(TEXT, &[0; 8]);
    }

    #[test]
    #[should_panic(expected = "more values than fields")]
    fn too_many_numbers_are_refused() {
        with_constants(TEXT, &[0; 16]);
    }
}
