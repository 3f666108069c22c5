//! What a kernel's work is made from in words: sizes, and options after them.

use crate::kernels::product::{MOST, sizes};

/// How the shapes of a kernel are written.
#[derive(Debug)]
pub struct Form {
    /// For a user.
    pub text: &'static str,
    /// Fewest and most sizes, with `x` between.
    pub count: [usize; 2],
    /// Whether `-OUTPUTS` follows the sizes.
    pub outputs: bool,
    /// Numbers that may follow, each after its letter, with what is taken when one is left out; 0 is allowed where that is 0.
    pub options: &'static [(char, usize)],
    /// Whether a word may follow.
    pub word: fn(&str) -> bool,
}

impl Form {
    /// Sizes alone, at least and at most so many.
    pub const fn sizes(count: [usize; 2], text: &'static str) -> Self {
        Self { text, count, outputs: false, options: &[], word: |_| false }
    }

    /// Sizes, and numbers that may follow.
    pub const fn options(count: [usize; 2], options: &'static [(char, usize)], text: &'static str) -> Self {
        Self { options, ..Self::sizes(count, text) }
    }

    /// A shape in this form; `None` when `text` is not one, or one of its numbers is above [`MOST`].
    pub fn parse(&self, text: &str) -> Option<Asked> {
        let mut parts = text.split(',');
        let first = parts.next()?;
        let (first, outputs) = if self.outputs {
            let (first, outputs) = first.split_once('-')?;
            (first, outputs.parse().ok().filter(|n| (1..=MOST).contains(n))?)
        } else {
            (first, 0)
        };
        let sizes = sizes(first).filter(|s| (self.count[0]..=self.count[1]).contains(&s.len()))?;
        let mut asked = Asked { sizes, outputs, options: self.options.to_vec(), word: None, given: Vec::new() };
        for part in parts {
            let letter = part.chars().next()?;
            if (self.word)(part) {
                asked.word = Some(part.to_owned());
            } else {
                let option = asked.options.iter_mut().find(|(own, _)| *own == letter)?;
                // Of what is at least 1 when it is left out, there is at least 1.
                let least = usize::from(option.1 > 0);
                option.1 = part[letter.len_utf8()..].parse().ok().filter(|n| (least..=MOST).contains(n))?;
                asked.given.push(letter);
            }
        }
        Some(asked)
    }
}

/// A shape that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// One size or more.
    pub sizes: Vec<usize>,
    /// What follows a `-`; 0 in forms without it.
    pub outputs: usize,
    /// The word, if one was given.
    pub word: Option<String>,
    options: Vec<(char, usize)>,
    given: Vec<char>,
}

impl Asked {
    /// The option of this letter, which its form must have.
    pub fn option(&self, letter: char) -> usize {
        self.options.iter().find(|(own, _)| *own == letter).map_or(0, |(_, value)| *value)
    }

    /// The shape as tables have it, such as `16x32x32x64, 2x2, stride 2`: what was given, in its order.
    pub fn words(&self) -> String {
        let sizes: Vec<String> = self.sizes.iter().map(usize::to_string).collect();
        let mut words = sizes.join("x");
        if self.outputs > 0 {
            words += &format!(" to {}", self.outputs);
        }
        for letter in &self.given {
            let value = self.option(*letter);
            words += &match letter {
                'k' => format!(", {value}x{value}"),
                's' => format!(", stride {value}"),
                'p' => format!(", border {value}"),
                'v' => format!(", {value} views"),
                'c' => format!(", {value} classes"),
                'h' => format!(", {value} heads"),
                'n' => format!(", best {value}"),
                _ => format!(", of {value}"),
            };
        }
        words + &self.word.as_ref().map_or(String::new(), |word| format!(", {word}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOLS: Form = Form::options([4, 4], &[('k', 2), ('s', 2), ('p', 0)], "");

    #[test]
    fn sizes_options_and_words_are_read_strictly() {
        let asked = POOLS.parse("16x32x32x64,k3,p1").expect("a shape");
        assert_eq!((asked.option('k'), asked.option('s'), asked.option('p')), (3, 2, 1));
        assert_eq!(POOLS.parse("1x2x3x4,p0").expect("no border is one").option('p'), 0);
        assert_eq!(asked.words(), "16x32x32x64, 3x3, border 1");
        let wrong = "4x4;1x2x3x4x5;1x2x3x4,;1x2x3x4,k;1x2x3x4,k0;1x2x3x4,s0;1x2x3x4,q3;1x2x3x4,é;0x2x3x4;1x2x3x4-5";
        for text in wrong.split(';').chain([""]) {
            assert_eq!(POOLS.parse(text), None, "{text}");
        }
        let windows = Form { outputs: true, ..Form::options([4, 4], &[('s', 1)], "") };
        assert_eq!(windows.parse("1x4x4x8-16,s2").expect("a shape").words(), "1x4x4x8 to 16, stride 2");
        assert!(windows.parse("1x4x4x8").is_none() && windows.parse("1x4x4x8-0").is_none());
        let images = Form { word: |word| word == "images", ..Form::sizes([1, 4], "") };
        assert_eq!(images.parse("4x4,images").expect("a shape").words(), "4x4, images");
        assert!(images.parse("4x4,rows").is_none() && images.parse("1048577").is_none());
    }
}
