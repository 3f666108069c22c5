//! Products of two matrices, and what their answers should be.

/// A product `(rows, columns)` of a left matrix `(rows, inner)` and a right one `(inner, columns)`.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// As `relabel bench` names it.
    pub name: String,
    /// Its sizes, as `relabel bench` writes them.
    pub text: String,
    /// Of the left matrix and of the result.
    pub rows: usize,
    /// What is summed over.
    pub inner: usize,
    /// Of the right matrix and of the result.
    pub columns: usize,
    /// Whether the left and the right matrix lie in memory with their axes exchanged.
    pub transposed: [bool; 2],
}

impl Product {
    /// That of a row such as `matmul`, `a·bᵀ, 512` or `linear`, `demo 128x128 to 40`; none when it is another.
    pub fn parse(name: &str, text: &str) -> Option<Self> {
        let of = |[rows, inner, columns]: [usize; 3], transposed| {
            Some(Self { name: name.into(), text: text.into(), rows, inner, columns, transposed })
        };
        if name == "matmul" {
            let (factors, side) = text.split_once(", ")?;
            let (left, right) = factors.split_once('·')?;
            return of([side.parse().ok()?; 3], [left, right].map(|factor| factor.ends_with('ᵀ')));
        }
        let (sizes, n) = text.split_once(" to ")?;
        let (r, d) = sizes.rsplit(' ').next()?.split_once('x')?;
        let [r, d, n]: [usize; 3] = [r.parse().ok()?, d.parse().ok()?, n.parse().ok()?];
        // x (R, D), weight (N, D), gradient (R, N).
        match name {
            "linear" => of([r, d, n], [false, true]),
            "linear_input_grad" => of([r, n, d], [false, false]),
            "linear_weight_grad" => of([n, r, d], [true, false]),
            _ => None,
        }
    }

    /// How the factors lie in memory.
    pub fn shapes(&self) -> [[usize; 2]; 2] {
        let lies = |transposed, [rows, columns]: [usize; 2]| if transposed { [columns, rows] } else { [rows, columns] };
        [lies(self.transposed[0], [self.rows, self.inner]), lies(self.transposed[1], [self.inner, self.columns])]
    }

    /// Operations.
    pub fn flops(&self) -> f64 {
        2.0 * (self.rows * self.inner * self.columns) as f64
    }

    /// One value of the result in float64, of the factors as they lie in memory.
    pub fn at(&self, left: &[f32], right: &[f32], position: usize) -> f64 {
        let (row, column) = (position / self.columns, position % self.columns);
        let a = |k: usize| if self.transposed[0] { left[k * self.rows + row] } else { left[row * self.inner + k] };
        let b = |k: usize| {
            if self.transposed[1] { right[column * self.inner + k] } else { right[k * self.columns + column] }
        };
        (0..self.inner).map(|k| f64::from(a(k)) * f64::from(b(k))).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_words() {
        let of = |name: &str, text: &str| Product::parse(name, text).expect("a product");
        assert_eq!(of("matmul", "aᵀ·b, 512").transposed, [true, false]);
        let gradient = of("linear_weight_grad", "ResNet-32 32x64 to 40");
        assert_eq!([gradient.rows, gradient.inner, gradient.columns], [40, 32, 64]);
        assert_eq!(gradient.shapes(), [[32, 40], [32, 64]]);
        assert_eq!(Product::parse("conv2d", "demo 128x28x28x1 to 16, stride 2"), None);
        assert_eq!(Product::parse("ceiling: copy", "16 MiB"), None);
    }

    #[test]
    fn transposed_factors_have_one_product() {
        // [1 2; 3 4; 5 6]·[1 2 3; 4 5 6], each as it is and lying the other way round.
        let (left, right) = (
            [[1., 2., 3., 4., 5., 6.], [1., 3., 5., 2., 4., 6.]],
            [[1., 2., 3., 4., 5., 6.], [1., 4., 2., 5., 3., 6.]],
        );
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            let product =
                Product { name: String::new(), text: String::new(), rows: 3, inner: 2, columns: 3, transposed };
            let [a, b] = [left[usize::from(transposed[0])], right[usize::from(transposed[1])]];
            let values: Vec<f64> = (0..9).map(|i| product.at(&a, &b, i)).collect();
            assert_eq!(values, [9., 12., 15., 19., 26., 33., 29., 40., 51.], "{transposed:?}");
        }
    }
}
