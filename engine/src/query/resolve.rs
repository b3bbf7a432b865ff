//! What do a query's words mean in one index?

use super::ast::{Ast, Exact, Node, NodeKind, Pattern, TagValue, Word};
use super::clause::searchable;
use super::{Clause, ClauseKind, Dialect, Expansion, ExpansionKind, Query, TagMatch};
use crate::error::QueryError;
use crate::limits;
use crate::schema::{FieldKind, FieldMask, Schema, TagOptions, TextOptions, ALL_FIELDS};
use crate::text::{normalise, normalise_tag, Analyser, Term, TermKind};

/// How the words of a query are to be understood.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolveOptions {
    /// The dialect in which the query was parsed.
    pub dialect: Dialect,
    /// `VERBATIM`: words stand for themselves only.
    pub verbatim: bool,
    /// `EXPANDER`: what else words stand for.
    pub expander: Expander,
    /// False for `NOSTOPWORDS`: stop words are searched for like any word.
    pub drop_stop_words: bool,
    /// `INFIELDS`: the text fields that the whole query is restricted to ([`Schema::mask_of`]).
    pub fields: FieldMask,
    /// `SLOP`, for intersections that do not say; negative for any.
    pub slop: Option<i64>,
    /// `INORDER`, for intersections that do not say.
    pub in_order: bool,
    /// `MINPREFIX`: characters below which a part of a word finds nothing.
    pub min_prefix_chars: usize,
    /// `MAXPREFIXEXPANSIONS`: terms that one pattern expands to at most.
    pub max_expansions: usize,
}

/// What words are found by besides themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Expander {
    /// Their stems, sounds and synonyms.
    #[default]
    All,
    /// Their stems only.
    Stems,
    /// Their sounds only.
    Sounds,
    /// Their synonyms only.
    Synonyms,
}

impl Expander {
    /// The expander that `EXPANDER name` asks for.
    pub fn by_name(name: &[u8]) -> Option<Self> {
        Some(match name.to_ascii_uppercase().as_slice() {
            b"DEFAULT" => Self::All,
            b"SBSTEM" => Self::Stems,
            b"PHONETIC" => Self::Sounds,
            b"SYNONYM" => Self::Synonyms,
            _ => return None,
        })
    }

    fn gives(self, part: Self) -> bool {
        self == Self::All || self == part
    }
}

impl Default for ResolveOptions {
    fn default() -> Self {
        Self {
            dialect: Dialect::default(),
            verbatim: false,
            expander: Expander::default(),
            drop_stop_words: true,
            fields: ALL_FIELDS,
            slop: None,
            in_order: false,
            min_prefix_chars: limits::MIN_PREFIX_CHARS,
            max_expansions: limits::MAX_EXPANSIONS,
        }
    }
}

/// Binds a parsed query to a schema and to the language of `analyser`.
///
/// Words become terms, with their stems, sounds and synonyms beside them, except in quotes and after
/// `-` and `~`. Stop words disappear; a query of stop words only finds nothing, also when it excludes
/// them.
///
/// # Errors
/// When a phrase of dialect 1 holds a stop word, or a clause asks for sounds where there are none, for
/// missing values where they are not indexed, or for suffixes in fields of which only some have them.
pub fn resolve(ast: &Ast, schema: &Schema, analyser: &Analyser, options: &ResolveOptions) -> Result<Query, QueryError> {
    let mask_of = |fits: fn(&TextOptions) -> bool| {
        schema.text_fields().filter(|(_, options)| fits(options)).fold(0, |all, (field, _)| all | field.mask())
    };
    let resolver = Resolver {
        schema,
        analyser,
        options,
        text: mask_of(|_| true),
        stemmed: mask_of(|options| options.stem),
        phonetic: mask_of(|options| options.phonetic.is_some()),
        suffixed: mask_of(|options| options.suffix_trie),
    };
    let scope = Scope { fields: options.fields, expand: !options.verbatim, phonetic: None };
    let root = match &ast.root {
        Some(root) => resolver.clause(root, scope)?,
        None => None,
    };
    Ok(Query { root: root.unwrap_or_else(|| Clause::new(ClauseKind::Empty)) })
}

struct Resolver<'a> {
    schema: &'a Schema,
    analyser: &'a Analyser<'a>,
    options: &'a ResolveOptions,
    /// All text fields, those with stems, those with sounds, and those with suffixes.
    text: FieldMask,
    stemmed: FieldMask,
    phonetic: FieldMask,
    suffixed: FieldMask,
}

/// What a clause inherits.
#[derive(Clone, Copy)]
struct Scope {
    fields: FieldMask,
    expand: bool,
    phonetic: Option<bool>,
}

impl Resolver<'_> {
    /// The clause for a node; `None` when only stop words were in it.
    fn clause(&self, node: &Node, scope: Scope) -> Result<Option<Clause>, QueryError> {
        let scope = Scope {
            fields: scope.fields & node.fields.as_ref().map_or(ALL_FIELDS, |names| self.schema.mask_of(names)),
            phonetic: node.attributes.phonetic.or(scope.phonetic),
            ..scope
        };
        let kind = match &node.kind {
            NodeKind::All => ClauseKind::All,
            NodeKind::Word(word) => return self.word(word, node, scope),
            NodeKind::Exact(exact) => self.exact(exact)?,
            NodeKind::Pattern(pattern) => {
                self.check_suffixes(pattern, scope.fields)?;
                ClauseKind::Expansion(self.expansion(pattern, |part| {
                    let mut text = normalise(part);
                    crate::text::cut(&mut text, limits::MAX_TERM_BYTES);
                    text.into_bytes()
                }))
            }
            NodeKind::And(nodes) => {
                let mut children = self.clauses(nodes, scope)?;
                if children.len() <= 1 && node.attributes == Default::default() {
                    return Ok(children.pop());
                }
                if children.is_empty() {
                    return Ok(None);
                }
                let slop = node.attributes.slop.or(self.options.slop);
                ClauseKind::And {
                    children,
                    slop: slop.and_then(|slop| u32::try_from(slop).ok()),
                    in_order: node.attributes.in_order.unwrap_or(self.options.in_order),
                }
            }
            NodeKind::Or(nodes) => match self.clauses(nodes, scope)? {
                children if children.is_empty() => return Ok(None),
                children => ClauseKind::Or(children),
            },
            NodeKind::Not(inner) => match self.clause(inner, Scope { expand: false, ..scope })? {
                None => return Ok(None),
                Some(clause) => ClauseKind::Not(Box::new(clause)),
            },
            NodeKind::Optional(inner) => match self.clause(inner, Scope { expand: false, ..scope })? {
                None => return Ok(None),
                Some(clause) => ClauseKind::Optional(Box::new(clause)),
            },
            NodeKind::Numeric { field, range } => Clause::numeric(self.schema, field, *range).kind,
            NodeKind::Geo { field, circle } => Clause::geo(self.schema, field, *circle).kind,
            NodeKind::Tag { field, values } => self.tag(field, values),
            NodeKind::Missing { field } => match self.schema.by_attribute(field) {
                Some(known) if known.definition.index_missing => {
                    ClauseKind::Missing { field: known.id, name: field.clone() }
                }
                _ => return Err(QueryError::MissingNotIndexed(field.clone())),
            },
        };
        Ok(Some(self.attributed(kind, node, scope)))
    }

    fn clauses(&self, nodes: &[Node], scope: Scope) -> Result<Vec<Clause>, QueryError> {
        nodes.iter().filter_map(|node| self.clause(node, scope).transpose()).collect()
    }

    fn attributed(&self, kind: ClauseKind, node: &Node, scope: Scope) -> Clause {
        let weight = node.attributes.weight.unwrap_or(1.0);
        Clause { kind, fields: scope.fields, weight, written: node.attributes }
    }

    /// A word, with what else it is found by.
    fn word(&self, word: &Word, node: &Node, scope: Scope) -> Result<Option<Clause>, QueryError> {
        let terms = if word.text.is_empty() { vec![Term::word("")] } else { self.analyser.words(&word.text) };
        let terms = terms.into_iter().filter(|term| !self.is_dropped(&term.text));
        let mut clauses = terms.map(|term| self.term(term, word, node, scope)).collect::<Result<Vec<_>, _>>()?;
        if clauses.len() <= 1 {
            return Ok(clauses.pop());
        }
        // Words of Chinese that are written together.
        let kind = ClauseKind::And { children: clauses, slop: None, in_order: false };
        Ok(Some(Clause { fields: scope.fields, ..Clause::new(kind) }))
    }

    fn term(&self, term: Term, word: &Word, node: &Node, scope: Scope) -> Result<Clause, QueryError> {
        let others = if scope.expand { self.others(&term.text, word.number, scope)? } else { Vec::new() };
        let written = self.attributed(ClauseKind::Term { term, expanded: false }, node, scope);
        if others.is_empty() {
            return Ok(written);
        }
        let others = others
            .into_iter()
            .map(|(term, fields)| Clause { fields, ..Clause::new(ClauseKind::Term { term, expanded: true }) });
        let children = std::iter::once(written).chain(others).collect();
        Ok(Clause { fields: scope.fields, ..Clause::new(ClauseKind::Or(children)) })
    }

    /// The terms that documents with a word like this one may have instead, and where.
    fn others(&self, word: &str, number: bool, scope: Scope) -> Result<Vec<(Term, FieldMask)>, QueryError> {
        let mut others = Vec::new();
        let expander = self.options.expander;
        let stemmed = !number && scope.fields & self.stemmed != 0 && expander.gives(Expander::Stems);
        let stem = if stemmed { self.analyser.stem(word) } else { None };
        if let Some(stem) = stem {
            others.push((Term::new(TermKind::Stem, stem.clone()), scope.fields));
            if *stem != *word {
                // The stem as a word: in a field without stems it would be another word.
                let fields = if self.stemmed == self.text { scope.fields } else { scope.fields & self.stemmed };
                others.push((Term::word(stem), fields));
            }
        }
        let phonetic = scope.fields & self.phonetic != 0;
        match scope.phonetic {
            Some(true) if !phonetic => return Err(QueryError::NotPhonetic),
            Some(false) => {}
            _ if phonetic && expander.gives(Expander::Sounds) => {
                let sound = self.analyser.sound(word);
                others.extend(sound.map(|sound| (Term::new(TermKind::Phonetic, sound), scope.fields)));
            }
            _ => {}
        }
        let synonyms = expander.gives(Expander::Synonyms);
        let groups = self.analyser.synonym_groups(word).iter().filter(|_| synonyms);
        others.extend(groups.map(|group| (Term::new(TermKind::Synonym, group.clone()), scope.fields)));
        Ok(others)
    }

    fn exact(&self, exact: &Exact) -> Result<ClauseKind, QueryError> {
        let mut terms = Vec::with_capacity(exact.words.len());
        for word in &exact.words {
            // A word of which nothing is left has no position in documents either.
            for term in self.analyser.words(&word.text) {
                if self.options.dialect == Dialect::V1 && self.is_dropped(&term.text) {
                    return Err(QueryError::Syntax { offset: word.offset, near: word.text.clone() });
                }
                terms.push(term);
            }
        }
        Ok(match terms.len() {
            0 => ClauseKind::Term { term: Term::word(""), expanded: false },
            1 => ClauseKind::Term { term: terms.swap_remove(0), expanded: false },
            _ => ClauseKind::Exact(terms),
        })
    }

    fn expansion(&self, pattern: &Pattern, normal: impl Fn(&[u8]) -> Vec<u8>) -> Expansion {
        let (kind, long_enough) = match pattern {
            Pattern::Prefix(part) => (ExpansionKind::Prefix(normal(part)), self.is_long_enough(part)),
            Pattern::Suffix(part) => (ExpansionKind::Suffix(normal(part)), self.is_long_enough(part)),
            Pattern::Infix(part) => (ExpansionKind::Infix(normal(part)), self.is_long_enough(part)),
            Pattern::Wildcard(written) => {
                (ExpansionKind::Wildcard { pattern: normal_wildcard(written, normal), written: written.clone() }, true)
            }
            Pattern::Fuzzy(word, distance) => {
                let text = String::from_utf8_lossy(&normal(word)).into();
                (ExpansionKind::Fuzzy { text, distance: *distance }, true)
            }
        };
        Expansion { kind, max_terms: if long_enough { self.options.max_expansions } else { 0 } }
    }

    /// Clients know to expect an error where fields are named of which only some have suffixes.
    fn check_suffixes(&self, pattern: &Pattern, fields: FieldMask) -> Result<(), QueryError> {
        let fields = if fields == ALL_FIELDS { 0 } else { fields & self.text };
        let mixed = self.suffixed != 0 && fields & !self.suffixed != 0;
        match pattern {
            Pattern::Suffix(_) | Pattern::Infix(_) if mixed => Err(QueryError::MixedSuffixes),
            _ => Ok(()),
        }
    }

    fn is_long_enough(&self, part: &[u8]) -> bool {
        String::from_utf8_lossy(part).chars().count() >= self.options.min_prefix_chars
    }

    fn tag(&self, name: &[u8], values: &[TagValue]) -> ClauseKind {
        let field = searchable(self.schema, name, |kind| matches!(kind, FieldKind::Tag(_)));
        let default = TagOptions::default();
        let options = field.and_then(|id| self.schema.field(id).tag()).unwrap_or(&default);
        let values = values.iter().map(|value| match value {
            TagValue::Is(tag) => TagMatch::Is(normalise_tag(tag, options)),
            TagValue::Like(pattern) => TagMatch::Like(self.expansion(pattern, |part| normalise_tag(part, options))),
        });
        ClauseKind::Tag { field, name: name.to_vec(), values: values.collect() }
    }

    fn is_dropped(&self, word: &str) -> bool {
        self.options.drop_stop_words && self.analyser.is_stop_word(word)
    }
}

/// A wildcard pattern whose literal parts are in the form of terms, with a backslash before what in
/// them would be a wildcard.
fn normal_wildcard(written: &[u8], normal: impl Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (mut out, mut literal) = (Vec::with_capacity(written.len()), Vec::new());
    let flush = |literal: &mut Vec<u8>, out: &mut Vec<u8>| {
        for byte in normal(literal) {
            if matches!(byte, b'*' | b'?' | b'\\') {
                out.push(b'\\');
            }
            out.push(byte);
        }
        literal.clear();
    };
    let mut bytes = written.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'*' | b'?' => {
                flush(&mut literal, &mut out);
                out.push(byte);
            }
            b'\\' => literal.extend(bytes.next()),
            _ => literal.push(byte),
        }
    }
    flush(&mut literal, &mut out);
    out
}
