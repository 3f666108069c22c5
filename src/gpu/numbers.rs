//! Workgroup arrays of vectors that cooperative matrices go to and come from, as arrays of numbers: naga's text for Metal hands
//! `half4*` on as `half*`, which no compiler takes. Line numbers stay.

use super::elements::{Elements, Store, closing, converted};

/// A text whose matrices are loaded from numbers and stored to them; all other reads and writes stay vectors.
pub fn in_numbers(text: &str) -> String {
    let mut text = text.to_owned();
    for (name, number, length) in arrays(&text) {
        let head = format!("{name}[");
        let (read, write) = (format!("{name}_vector"), format!("put_{name}_vector"));
        let elements = Elements {
            // A name of its own, because naga fails on a product of overrides in place.
            declaration: format!(
                "override {name}_numbers: u32 = 4u * {length}; var<workgroup> {name}: array<{number}, {name}_numbers>"
            ),
            load: Box::new({
                let read = read.clone();
                move |i| format!("{read}({i})")
            }),
            store: Store::By(write.clone()),
            named: None,
        };
        let declared = format!("var<workgroup> {name}: array<vec4<{number}>, {length}>");
        text = addressed(&text.replace(&declared, &elements.declaration), &format!("&{head}"));
        text = converted(&text, &head, &elements);
        text += &format!(
            "
// A vector of an array of numbers.
fn {read}(i: u32) -> vec4<{number}> {{
    return vec4<{number}>({head}4u * i], {head}4u * i + 1u], {head}4u * i + 2u], {head}4u * i + 3u]);
}}

fn {write}(i: u32, value: vec4<{number}>) {{
    {head}4u * i] = value.x;
    {head}4u * i + 1u] = value.y;
    {head}4u * i + 2u] = value.z;
    {head}4u * i + 3u] = value.w;
}}
"
        );
    }
    text
}

/// Name, type of numbers and length of each workgroup array of vectors that matrices touch.
fn arrays(text: &str) -> Vec<(String, String, String)> {
    let parse = |line: &str| {
        let (name, rest) = line.strip_prefix("var<workgroup> ")?.split_once(": array<vec4<")?;
        let (number, rest) = rest.split_once(">, ")?;
        let length = rest.split_once(">;")?.0;
        Some((name.to_owned(), number.to_owned(), length.to_owned()))
    };
    let touched = |(name, ..): &(String, String, String)| {
        text.lines().any(|line| line.contains("coop") && line.contains(&format!("&{name}[")))
    };
    text.lines().filter_map(parse).filter(touched).collect()
}

/// Every `&name[place], stride)` counted in numbers. `head` is `&name[`.
fn addressed(text: &str, head: &str) -> String {
    let mut parts = text.split(head);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let opened = format!("[{part}");
        let end = closing(&opened, ['[', ']']).expect("an index ends");
        let (place, rest) = (&opened[1..end], &opened[end + 1..]);
        let stride = rest.strip_prefix(", ").expect("a matrix has its stride");
        let end = closing(&format!("({stride}"), ['(', ')']).expect("a call ends") - 1;
        out += &format!("{head}4u * ({place})], 4u * ({}){}", &stride[..end], &stride[end..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matrices_count_in_numbers_and_all_else_in_vectors() {
        let text = "var<workgroup> sums: array<vec4<f32>, SUM_VECTORS>; // sums[0]\n\
            var<workgroup> other: array<vec4<f32>, 8>;\n\
            coopStoreT(s0, &sums[min(own[0], 3u) * 2u], stride(LINE));\n\
            sums[at + u32(sums[1].x)] = sums[i] + other[0] + my_sums[2];\n\
            total += sums[at];";
        let found = in_numbers(text);
        let lines: Vec<&str> = found.lines().take(5).collect();
        let length = "override sums_numbers: u32 = 4u * SUM_VECTORS; ";
        assert_eq!(lines[0], format!("{length}var<workgroup> sums: array<f32, sums_numbers>; // sums[0]"));
        assert_eq!(lines[1], "var<workgroup> other: array<vec4<f32>, 8>;");
        assert_eq!(lines[2], "coopStoreT(s0, &sums[4u * (min(own[0], 3u) * 2u)], 4u * (stride(LINE)));");
        let put = "put_sums_vector(at + u32(sums_vector(1).x), sums_vector(i) + other[0] + my_sums[2]);";
        assert_eq!(lines[3], put);
        assert_eq!(lines[4], "total += sums_vector(at);");
        assert!(found.contains("    sums[4u * i + 3u] = value.w;\n"));
        let plain = "var<workgroup> tile: array<vec4<f32>, 64>;\ntile[i] = tile[j];";
        assert_eq!(in_numbers(plain), plain);
    }
}
