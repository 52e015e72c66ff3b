//! Regular expressions by backtracking, under the names of the regex crate: what programs of a few lines use.
use std::borrow::Cow;
use std::fmt;
use std::ops::Index;

#[derive(Clone, Debug)]
enum Node {
    Char(char),
    Any,
    Set(Vec<(char, char)>, bool),
    Start,
    End,
    Word(bool),
    Group(Vec<Vec<Node>>, Option<usize>),
    Repeat(Box<Node>, usize, usize, bool),
}

#[derive(Clone, Debug)]
pub struct Error(String);
impl fmt::Display for Error { fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result { write!(f, "{}", self.0) } }
impl std::error::Error for Error {}

struct Parser { text: Vec<char>, at: usize, groups: usize, fold: bool }

impl Parser {
    fn fail<T>(&self, what: &str) -> Result<T, Error> { Err(Error(format!("{} at {}", what, self.at))) }
    fn peek(&self) -> Option<char> { self.text.get(self.at).copied() }
    fn take(&mut self, c: char) -> bool { let yes = self.peek() == Some(c); if yes { self.at += 1; } yes }

    fn choices(&mut self) -> Result<Vec<Vec<Node>>, Error> {
        let mut all = vec![vec![]];
        while let Some(c) = self.peek() {
            match c {
                ')' => break,
                '|' => { self.at += 1; all.push(vec![]); }
                _ => { if let Some(node) = self.repeated()? { all.last_mut().unwrap().push(node); } }
            }
        }
        Ok(all)
    }

    fn repeated(&mut self) -> Result<Option<Node>, Error> {
        let mut node = match self.atom()? { Some(node) => node, None => return Ok(None) };
        loop {
            let (low, high) = match self.peek() {
                Some('*') => (0, usize::MAX),
                Some('+') => (1, usize::MAX),
                Some('?') => (0, 1),
                Some('{') => {
                    let close = match self.text[self.at..].iter().position(|&c| c == '}') { Some(n) => self.at + n, None => return self.fail("unclosed {") };
                    let inside: String = self.text[self.at + 1..close].iter().collect();
                    self.at = close;
                    let number = |s: &str| s.trim().parse::<usize>().map_err(|_| Error("bad repetition".into()));
                    match inside.split_once(',') {
                        None => { let n = number(&inside)?; (n, n) }
                        Some((low, "")) => (number(low)?, usize::MAX),
                        Some((low, high)) => (number(low)?, number(high)?),
                    }
                }
                _ => return Ok(Some(node)),
            };
            self.at += 1;
            let lazy = self.take('?');
            node = Node::Repeat(Box::new(node), low, high, !lazy);
        }
    }

    fn atom(&mut self) -> Result<Option<Node>, Error> {
        let c = self.peek().unwrap();
        self.at += 1;
        Ok(Some(match c {
            '.' => Node::Any,
            '^' => Node::Start,
            '$' => Node::End,
            '*' | '+' | '?' => return self.fail("nothing to repeat"),
            '(' => {
                let mut number = None;
                if self.take('?') {
                    if self.take(':') {
                    } else if self.take('i') && self.take(')') {
                        self.fold = true;
                        return Ok(None);
                    } else if self.take('P') || self.peek() == Some('<') {
                        while !self.take('>') { self.at += 1; if self.at >= self.text.len() { return self.fail("bad group name"); } }
                        self.groups += 1;
                        number = Some(self.groups);
                    } else {
                        return self.fail("look-around is not supported");
                    }
                } else {
                    self.groups += 1;
                    number = Some(self.groups);
                }
                let inside = self.choices()?;
                if !self.take(')') { return self.fail("unclosed group"); }
                Node::Group(inside, number)
            }
            '[' => self.set()?,
            '\\' => self.escape()?,
            _ => self.single(c),
        }))
    }

    fn single(&self, c: char) -> Node {
        if self.fold && c.is_alphabetic() {
            let mut both: Vec<(char, char)> = c.to_lowercase().map(|l| (l, l)).collect();
            both.extend(c.to_uppercase().map(|u| (u, u)));
            return Node::Set(both, false);
        }
        Node::Char(c)
    }

    fn class(c: char) -> Option<(Vec<(char, char)>, bool)> {
        let ranges = match c.to_ascii_lowercase() {
            'd' => vec![('0', '9')],
            'w' => vec![('a', 'z'), ('A', 'Z'), ('0', '9'), ('_', '_'), ('\u{aa}', '\u{2ff}'), ('\u{370}', '\u{1fff}'), ('\u{3041}', '\u{d7a3}')],
            's' => vec![(' ', ' '), ('\t', '\r'), ('\u{85}', '\u{85}'), ('\u{a0}', '\u{a0}'), ('\u{2000}', '\u{200a}'), ('\u{2028}', '\u{2029}')],
            _ => return None,
        };
        Some((ranges, c.is_ascii_uppercase()))
    }

    fn plain(&mut self) -> Result<char, Error> {
        let c = match self.peek() { Some(c) => c, None => return self.fail("nothing after \\") };
        self.at += 1;
        Ok(match c { 'n' => '\n', 't' => '\t', 'r' => '\r', 'f' => '\x0c', 'v' => '\x0b', '0' => '\0',
            c if c.is_alphanumeric() => return self.fail("unknown escape"), c => c })
    }

    fn escape(&mut self) -> Result<Node, Error> {
        match self.peek() {
            Some('b') => { self.at += 1; Ok(Node::Word(true)) }
            Some('B') => { self.at += 1; Ok(Node::Word(false)) }
            Some('A') => { self.at += 1; Ok(Node::Start) }
            Some('z') => { self.at += 1; Ok(Node::End) }
            Some(c) if Parser::class(c).is_some() => { self.at += 1; let (ranges, not) = Parser::class(c).unwrap(); Ok(Node::Set(ranges, not)) }
            _ => { let c = self.plain()?; Ok(self.single(c)) }
        }
    }

    fn set(&mut self) -> Result<Node, Error> {
        let not = self.take('^');
        let mut ranges = vec![];
        let mut first = true;
        loop {
            let c = match self.peek() { Some(c) => c, None => return self.fail("unclosed [") };
            self.at += 1;
            if c == ']' && !first { break; }
            first = false;
            let low = if c == '\\' {
                if let Some((inside, inverted)) = self.peek().and_then(Parser::class) {
                    if inverted { return self.fail("an inverted class inside a set is not supported"); }
                    self.at += 1;
                    ranges.extend(inside);
                    continue;
                }
                self.plain()?
            } else if c == '[' && self.peek() == Some(':') {
                let rest: String = self.text[self.at..].iter().collect();
                let name: String = rest[1..].chars().take_while(|c| c.is_alphabetic()).collect();
                self.at += name.len() + 3;
                ranges.extend(match name.as_str() {
                    "alpha" => vec![('a', 'z'), ('A', 'Z')],
                    "digit" => vec![('0', '9')],
                    "alnum" => vec![('a', 'z'), ('A', 'Z'), ('0', '9')],
                    "lower" => vec![('a', 'z')],
                    "upper" => vec![('A', 'Z')],
                    "space" => vec![(' ', ' '), ('\t', '\r')],
                    "punct" => vec![('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
                    _ => return self.fail("unknown class"),
                });
                continue;
            } else { c };
            if self.peek() == Some('-') && self.text.get(self.at + 1).map_or(false, |&c| c != ']') {
                self.at += 1;
                let c = self.peek().unwrap();
                self.at += 1;
                let high = if c == '\\' { self.plain()? } else { c };
                if high < low { return self.fail("bad range"); }
                ranges.push((low, high));
            } else {
                ranges.push((low, low));
            }
        }
        if self.fold {
            let both: Vec<(char, char)> = ranges.iter().filter(|r| r.0.is_ascii_alphabetic() && r.1.is_ascii_alphabetic())
                .flat_map(|r| vec![(r.0.to_ascii_lowercase(), r.1.to_ascii_lowercase()), (r.0.to_ascii_uppercase(), r.1.to_ascii_uppercase())]).collect();
            ranges.extend(both);
        }
        Ok(Node::Set(ranges, not))
    }
}

type Slots = Vec<Option<(usize, usize)>>;

struct Matcher<'t> { text: &'t [char] }

impl<'t> Matcher<'t> {
    fn is_word(&self, at: usize) -> bool { self.text.get(at).map_or(false, |c| c.is_alphanumeric() || *c == '_') }

    fn run(&self, nodes: &[Node], at: usize, slots: &mut Slots, next: &mut dyn FnMut(usize, &mut Slots) -> bool) -> bool {
        let (node, rest) = match nodes.split_first() { None => return next(at, slots), Some(found) => found };
        match node {
            Node::Start => at == 0 && self.run(rest, at, slots, next),
            Node::End => at == self.text.len() && self.run(rest, at, slots, next),
            Node::Word(edge) => ((at > 0 && self.is_word(at - 1)) != self.is_word(at)) == *edge && self.run(rest, at, slots, next),
            Node::Group(choices, number) => choices.iter().any(|choice| {
                let before = slots.clone();
                let found = self.run(choice, at, slots, &mut |end, slots| {
                    let old = number.map(|n| slots[n]);
                    if let Some(n) = number { slots[*n] = Some((at, end)); }
                    let found = self.run(rest, end, slots, next);
                    if !found { if let (Some(n), Some(old)) = (number, old) { slots[*n] = old; } }
                    found
                });
                if !found { *slots = before; }
                found
            }),
            Node::Repeat(inner, low, high, greedy) => self.repeat(inner, *low, *high, *greedy, at, rest, slots, next),
            single => match self.text.get(at) {
                Some(&c) if fits(single, c) => self.run(rest, at + 1, slots, next),
                _ => false,
            },
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn repeat(&self, inner: &Node, low: usize, high: usize, greedy: bool, at: usize, rest: &[Node], slots: &mut Slots, next: &mut dyn FnMut(usize, &mut Slots) -> bool) -> bool {
        if !matches!(inner, Node::Group(..) | Node::Repeat(..)) {
            // One character each time: no need to go deeper with each.
            let mut most = 0;
            while most < high && self.text.get(at + most).map_or(false, |&c| fits(inner, c)) { most += 1; }
            if most < low { return false; }
            let mut counts: Box<dyn Iterator<Item = usize>> = if greedy { Box::new((low..=most).rev()) } else { Box::new(low..=most) };
            return counts.any(|count| self.run(rest, at + count, slots, next));
        }
        if low == 0 && !greedy && self.run(rest, at, slots, next) { return true; }
        if high > 0 {
            let one = std::slice::from_ref(inner);
            let less = if high == usize::MAX { high } else { high - 1 };
            if self.run(one, at, slots, &mut |end, slots| {
                (end > at || low > 0) && self.repeat(inner, low.saturating_sub(1), less, greedy, end, rest, slots, next)
            }) { return true; }
        }
        low == 0 && greedy && self.run(rest, at, slots, next)
    }
}

fn fits(node: &Node, c: char) -> bool {
    match node {
        Node::Char(wanted) => *wanted == c,
        Node::Any => c != '\n',
        Node::Set(ranges, not) => ranges.iter().any(|&(low, high)| low <= c && c <= high) != *not,
        _ => false,
    }
}

#[derive(Clone, Debug)]
pub struct Regex { source: String, nodes: Vec<Node>, groups: usize }

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<'t> { text: &'t str, start: usize, end: usize }
impl<'t> Match<'t> {
    pub fn start(&self) -> usize { self.start }
    pub fn end(&self) -> usize { self.end }
    pub fn range(&self) -> std::ops::Range<usize> { self.start..self.end }
    pub fn as_str(&self) -> &'t str { &self.text[self.start..self.end] }
}

#[derive(Clone, Debug)]
pub struct Captures<'t> { text: &'t str, slots: Slots }
impl<'t> Captures<'t> {
    pub fn get(&self, i: usize) -> Option<Match<'t>> {
        self.slots.get(i).copied().flatten().map(|(start, end)| Match { text: self.text, start, end })
    }
    pub fn len(&self) -> usize { self.slots.len() }
    pub fn iter<'c>(&'c self) -> impl Iterator<Item = Option<Match<'t>>> + 'c { (0..self.slots.len()).map(move |i| self.get(i)) }
}
impl<'t> Index<usize> for Captures<'t> {
    type Output = str;
    fn index(&self, i: usize) -> &str { self.get(i).map(|m| m.as_str()).unwrap_or_else(|| panic!("no group at index '{}'", i)) }
}

pub trait Replacer { fn with(&mut self, found: &Captures) -> String; }
impl<'a> Replacer for &'a str {
    fn with(&mut self, found: &Captures) -> String {
        let mut out = String::new();
        let mut rest = *self;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            if rest.starts_with('$') { out.push('$'); rest = &rest[1..]; continue; }
            let braced = rest.starts_with('{');
            let body = if braced { &rest[1..] } else { rest };
            let digits: String = body.chars().take_while(|c| c.is_ascii_digit()).collect();
            if digits.is_empty() { out.push('$'); continue; }
            if let Some(m) = found.get(digits.parse().unwrap()) { out.push_str(m.as_str()); }
            rest = &body[digits.len() + braced as usize..];
        }
        out + rest
    }
}
impl<'a> Replacer for &'a String { fn with(&mut self, found: &Captures) -> String { self.as_str().with(found) } }
impl Replacer for String { fn with(&mut self, found: &Captures) -> String { self.as_str().with(found) } }
impl<F: FnMut(&Captures) -> T, T: AsRef<str>> Replacer for F { fn with(&mut self, found: &Captures) -> String { self(found).as_ref().to_string() } }

impl Regex {
    pub fn new(source: &str) -> Result<Regex, Error> {
        let mut parser = Parser { text: source.chars().collect(), at: 0, groups: 0, fold: false };
        let nodes = parser.choices()?;
        if parser.at < parser.text.len() { return parser.fail("unopened group"); }
        Ok(Regex { source: source.to_string(), nodes: vec![Node::Group(nodes, Some(0))], groups: parser.groups + 1 })
    }
    pub fn as_str(&self) -> &str { &self.source }

    /// Every match from the start on, as byte positions.
    fn all<'t>(&self, text: &'t str, most: usize) -> Vec<Captures<'t>> {
        let chars: Vec<char> = text.chars().collect();
        let mut offsets: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
        offsets.push(text.len());
        let matcher = Matcher { text: &chars };
        let (mut found, mut at, mut last_end) = (vec![], 0, None);
        while at <= chars.len() && found.len() < most {
            let mut slots: Slots = vec![None; self.groups];
            let mut best: Option<Slots> = None;
            if matcher.run(&self.nodes, at, &mut slots, &mut |_, slots| { best = Some(slots.clone()); true }) {
                let slots = best.unwrap();
                let (start, end) = slots[0].unwrap();
                if start == end && last_end == Some(end) { at += 1; continue; }
                last_end = Some(end);
                found.push(Captures { text, slots: slots.iter().map(|s| s.map(|(a, b)| (offsets[a], offsets[b]))).collect() });
                at = if end > start { end } else { at + 1 };
            } else {
                at += 1;
            }
        }
        found
    }

    pub fn is_match(&self, text: &str) -> bool { !self.all(text, 1).is_empty() }
    pub fn captures<'t>(&self, text: &'t str) -> Option<Captures<'t>> { self.all(text, 1).pop() }
    pub fn captures_iter<'t>(&self, text: &'t str) -> std::vec::IntoIter<Captures<'t>> { self.all(text, usize::MAX).into_iter() }
    pub fn find<'t>(&self, text: &'t str) -> Option<Match<'t>> { self.captures(text).and_then(|found| found.get(0)) }
    pub fn find_iter<'t>(&self, text: &'t str) -> std::vec::IntoIter<Match<'t>> {
        self.all(text, usize::MAX).iter().map(|found| found.get(0).unwrap()).collect::<Vec<_>>().into_iter()
    }
    pub fn split<'t>(&self, text: &'t str) -> std::vec::IntoIter<&'t str> {
        let mut parts = vec![];
        let mut from = 0;
        for found in self.find_iter(text) { parts.push(&text[from..found.start()]); from = found.end(); }
        parts.push(&text[from..]);
        parts.into_iter()
    }
    fn replaced<'t, R: Replacer>(&self, text: &'t str, most: usize, mut by: R) -> Cow<'t, str> {
        let all = self.all(text, most);
        if all.is_empty() { return Cow::Borrowed(text); }
        let (mut out, mut from) = (String::new(), 0);
        for found in &all {
            let whole = found.get(0).unwrap();
            out.push_str(&text[from..whole.start()]);
            out.push_str(&by.with(found));
            from = whole.end();
        }
        Cow::Owned(out + &text[from..])
    }
    pub fn replace<'t, R: Replacer>(&self, text: &'t str, by: R) -> Cow<'t, str> { self.replaced(text, 1, by) }
    pub fn replace_all<'t, R: Replacer>(&self, text: &'t str, by: R) -> Cow<'t, str> { self.replaced(text, usize::MAX, by) }
}
