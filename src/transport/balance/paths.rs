//! Successive shortest augmenting paths between clusters.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use super::Table;

/// A sample of some cluster a, with what is lost when it goes to some b. The heap's greatest has the least loss, then
/// the lowest number.
#[derive(Clone, Copy, Debug)]
struct Move {
    loss: f64,
    sample: u32,
}

impl Ord for Move {
    fn cmp(&self, other: &Self) -> Ordering {
        other.loss.total_cmp(&self.loss).then(other.sample.cmp(&self.sample))
    }
}

impl PartialOrd for Move {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Move {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Move {}

/// The moves out of one cluster. Entries of samples that have left are dropped when they come to the top. A loss does
/// not depend on prices, so an entry holds whenever its sample is (again) in the cluster.
struct Leaving {
    /// To each cluster, of samples that have it as a candidate.
    to: Vec<BinaryHeap<Move>>,
    /// The loss at the top of each heap when it was last looked at: no valid entry loses less. It spares most looks.
    least: Vec<f64>,
    /// To any cluster, by the most that its score can be; the cluster's given price is to be added.
    anywhere: BinaryHeap<Move>,
}

/// How a node was reached: by which sample, or `None` through the sink's edges.
type Via = (usize, Option<u32>);

pub(super) struct Search<'a> {
    table: &'a Table<'a>,
    sizes: &'a [(usize, usize)],
    pub(super) labels: Vec<u32>,
    /// One a cluster.
    pub(super) prices: Vec<f64>,
    /// The sink's price.
    level: f64,
    /// Samples in each cluster at some time since the start; some have left.
    members: Vec<Vec<u32>>,
    leaving: Vec<Option<Leaving>>,
    /// How many samples each cluster is to have, between its sizes.
    wanted: Vec<usize>,
    /// Samples above (or below) `wanted`; last, the sink's.
    surplus: Vec<i64>,
    distance: Vec<f64>,
    via: Vec<Option<Via>>,
    settled: Vec<bool>,
    visited: Vec<usize>,
    /// Distance of the nearest lack seen: what is not nearer need not be visited.
    reach: f64,
}

impl<'a> Search<'a> {
    /// `labels` are the best clusters at `prices`.
    pub(super) fn new(table: &'a Table<'a>, sizes: &'a [(usize, usize)], labels: Vec<u32>, prices: Vec<f64>) -> Self {
        let clusters = table.clusters;
        let mut members = vec![Vec::new(); clusters];
        for (i, &k) in labels.iter().enumerate() {
            members[k as usize].push(i as u32);
        }
        // Complementary slackness of the sizes: dear clusters get their least, cheap ones their most. The sink's price
        // parts them where the sum is closest to N.
        let mut order: Vec<usize> = (0..clusters).collect();
        order.sort_by(|&a, &b| prices[a].total_cmp(&prices[b]));
        let mut wanted: Vec<usize> = sizes.iter().map(|s| s.0).collect();
        let mut left = table.samples - wanted.iter().sum::<usize>();
        let mut level = prices[order[0]];
        for k in order {
            level = prices[k];
            let more = (sizes[k].1 - sizes[k].0).min(left);
            wanted[k] += more;
            left -= more;
            if left == 0 {
                break;
            }
        }
        let mut surplus: Vec<i64> = members.iter().zip(&wanted).map(|(m, w)| m.len() as i64 - *w as i64).collect();
        surplus.push(0);
        Self {
            table,
            sizes,
            labels,
            prices,
            level,
            members,
            leaving: (0..clusters).map(|_| None).collect(),
            wanted,
            surplus,
            distance: vec![f64::INFINITY; clusters + 1],
            via: vec![None; clusters + 1],
            settled: vec![false; clusters + 1],
            visited: Vec::new(),
            reach: f64::INFINITY,
        }
    }

    /// Moves samples until every cluster has what it is to have.
    pub(super) fn run(&mut self) {
        for source in 0..=self.table.clusters {
            while self.surplus[source] > 0 {
                let Some(target) = self.nearest_lack(source) else { return };
                self.augment(source, target);
            }
        }
    }

    /// Dijkstra from `source` to the nearest node that lacks a sample. Every cluster can be reached: through the sink or
    /// by a sample's missing scores at least, when there are samples and lacks at all. Moves the prices.
    fn nearest_lack(&mut self, source: usize) -> Option<usize> {
        for &node in &self.visited {
            self.distance[node] = f64::INFINITY;
            self.via[node] = None;
            self.settled[node] = false;
        }
        self.visited.clear();
        self.visited.push(source);
        self.reach = f64::INFINITY;
        self.distance[source] = 0.0;
        loop {
            let open = self.visited.iter().copied().filter(|&k| !self.settled[k]);
            let node = open.min_by(|&a, &b| self.distance[a].total_cmp(&self.distance[b]).then(a.cmp(&b)))?;
            self.settled[node] = true;
            if self.surplus[node] < 0 {
                let most = self.distance[node];
                for i in 0..self.visited.len() {
                    let k = self.visited[i];
                    if self.settled[k] {
                        let change = self.distance[k] - most;
                        match self.prices.get_mut(k) {
                            Some(price) => *price += change,
                            None => self.level += change,
                        }
                    }
                }
                return Some(node);
            }
            self.relax(node);
        }
    }

    /// Offers shorter ways over the edges out of a settled node.
    fn relax(&mut self, from: usize) {
        let sink = self.table.clusters;
        if from == sink {
            for k in 0..sink {
                if self.wanted[k] > self.sizes[k].0 {
                    self.offer(k, from, None, self.level - self.prices[k]);
                }
            }
            return;
        }
        if self.wanted[from] < self.sizes[from].1 {
            self.offer(sink, from, None, self.prices[from] - self.level);
        }
        let mut leaving = self.leaving[from].take().unwrap_or_else(|| self.open(from));
        let anywhere = top(&mut leaving.anywhere, &self.labels, from);
        let (base, price) = (self.distance[from], self.prices[from]);
        for k in (0..sink).filter(|&k| k != from) {
            let other = anywhere.map(|m| Move { loss: m.loss + self.table.given[k], sample: m.sample });
            let least = leaving.least[k].min(other.map_or(f64::INFINITY, |m| m.loss));
            if base + (least + price - self.prices[k]).max(0.0) >= self.distance[k].min(self.reach) {
                continue;
            }
            let best = top(&mut leaving.to[k], &self.labels, from);
            leaving.least[k] = best.map_or(f64::INFINITY, |m| m.loss);
            // `max` of moves is the one with the least loss.
            if let Some(best) = best.max(other) {
                self.offer(k, from, Some(best.sample), best.loss + price - self.prices[k]);
            }
        }
        self.leaving[from] = Some(leaving);
    }

    /// A way to `node` by an edge with this reduced cost, which is not below zero but by rounding.
    fn offer(&mut self, node: usize, from: usize, sample: Option<u32>, cost: f64) {
        let distance = self.distance[from] + cost.max(0.0);
        if !self.settled[node] && distance < self.distance[node].min(self.reach) {
            if self.via[node].is_none() {
                self.visited.push(node);
            }
            self.distance[node] = distance;
            self.via[node] = Some((from, sample));
            if self.surplus[node] < 0 {
                self.reach = distance;
            }
        }
    }

    /// The moves out of a cluster that no path has come through so far.
    fn open(&self, from: usize) -> Leaving {
        let mut to = vec![Vec::new(); self.table.clusters];
        let mut anywhere = Vec::new();
        for &i in self.members[from].iter().filter(|&&i| self.labels[i as usize] as usize == from) {
            self.moves(i, from, |target, entry| match target {
                Some(k) => to[k].push(entry),
                None => anywhere.push(entry),
            });
        }
        let to: Vec<BinaryHeap<Move>> = to.into_iter().map(BinaryHeap::from).collect();
        let least = to.iter().map(|h| h.peek().map_or(f64::INFINITY, |m| m.loss)).collect();
        Leaving { to, least, anywhere: anywhere.into() }
    }

    /// What sample i loses by leaving `from` for each candidate, and (`None`) for any other cluster.
    fn moves(&self, i: u32, from: usize, mut each: impl FnMut(Option<usize>, Move)) {
        let here = self.table.score(i as usize, from as u32);
        for (k, s) in self.table.row(i as usize) {
            if k as usize != from {
                each(Some(k as usize), Move { loss: here - s, sample: i });
            }
        }
        if self.table.is_partial() {
            each(None, Move { loss: here - self.table.ceiling[i as usize], sample: i });
        }
    }

    /// Moves one sample along each edge of the path.
    fn augment(&mut self, source: usize, target: usize) {
        let sink = self.table.clusters;
        let mut node = target;
        while let Some((from, sample)) = self.via[node] {
            match sample {
                Some(i) => self.transfer(i, node),
                None if node == sink => self.wanted[from] += 1,
                None => self.wanted[node] -= 1,
            }
            node = from;
        }
        self.surplus[source] -= 1;
        self.surplus[target] += 1;
    }

    fn transfer(&mut self, i: u32, to: usize) {
        self.labels[i as usize] = to as u32;
        match self.leaving[to].take() {
            None => self.members[to].push(i),
            Some(mut leaving) => {
                self.moves(i, to, |target, entry| match target {
                    Some(k) => {
                        leaving.least[k] = leaving.least[k].min(entry.loss);
                        leaving.to[k].push(entry);
                    }
                    None => leaving.anywhere.push(entry),
                });
                self.leaving[to] = Some(leaving);
            }
        }
    }
}

/// The best move of a sample that is still in `from`.
fn top(heap: &mut BinaryHeap<Move>, labels: &[u32], from: usize) -> Option<Move> {
    while let Some(best) = heap.peek() {
        if labels[best.sample as usize] as usize == from {
            return Some(*best);
        }
        heap.pop();
    }
    None
}
