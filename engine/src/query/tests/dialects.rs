//! What each dialect reads in a query.

use super::*;

fn check(dialect: Dialect, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(tree(text, dialect), *expected, "{text:?} in dialect {}", dialect.number());
    }
}

#[test]
fn both_read_words_phrases_and_patterns() {
    for dialect in [Dialect::V1, Dialect::V2] {
        check(
            dialect,
            &[
                ("hello", "hello"),
                ("HÉLLO", "héllo"),
                ("hello world", "INTERSECT { hello world }"),
                ("hello|world", "UNION { hello world }"),
                ("a1 b1|c1 d1", "UNION { INTERSECT { a1 b1 } INTERSECT { c1 d1 } }"),
                ("(a1 b1)|c1 d1", "UNION { INTERSECT { a1 b1 } INTERSECT { c1 d1 } }"),
                ("aa | bb | cc dd", "UNION { aa bb INTERSECT { cc dd } }"),
                ("aa|(bb|cc)", "UNION { aa UNION { bb cc } }"),
                ("(aa|bb)|cc", "UNION { aa bb cc }"),
                ("aa (bb cc)", "INTERSECT { aa INTERSECT { bb cc } }"),
                ("(aa bb) (cc)", "INTERSECT { aa bb cc }"),
                ("((aa))", "aa"),
                ("\"hello world\"", "EXACT { hello world }"),
                ("aa \"bb cc\" dd", "INTERSECT { aa EXACT { bb cc } dd }"),
                ("\"foo, bar\"", "EXACT { foo bar }"),
                ("hel*", "PREFIX{hel*}"),
                ("*llo", "SUFFIX{*llo}"),
                ("*ll*", "INFIX{*ll*}"),
                ("%hello%", "FUZZY{hello}"),
                ("%%%the%%%", "FUZZY{the}"),
                ("*", "<WILDCARD>"),
                ("foo,bar.baz", "INTERSECT { foo bar baz }"),
                ("foo'bar it's", "INTERSECT { foo bar s }"),
                ("a\\-b foo_bar", "INTERSECT { a-b foo_bar }"),
                ("42 3.14 -3", "INTERSECT { 42 3.14 -3 }"),
                ("hello-world", "INTERSECT { hello NOT{ world } }"),
                ("the", "<empty>"),
                ("-the", "<empty>"),
                ("the the", "<empty>"),
                ("", "<empty>"),
                (" ., ", "<empty>"),
                ("the fox", "fox"),
                ("the|foo", "UNION { foo }"),
                ("foo -the", "foo"),
            ],
        );
    }
}

#[test]
fn both_read_fields_ranges_tags_and_points() {
    for dialect in [Dialect::V1, Dialect::V2] {
        check(
            dialect,
            &[
                ("@t:hello", "@t:hello"),
                ("@ t : hello", "@t:hello"),
                ("@t|u:hello", "@t|u:hello"),
                ("@t|u:(hello (world|bar))", "@t|u:INTERSECT { @t|u:hello @t|u:UNION { @t|u:world @t|u:bar } }"),
                ("@t:(aa @u:bb)", "@t:INTERSECT { @t:aa @NULL:bb }"),
                ("@zz:hello", "@NULL:hello"),
                ("@t|zz:aa", "@t:aa"),
                ("@n:foo", "@NULL:foo"),
                ("@t:-hello", "@t:NOT{ @t:hello }"),
                ("-@t:hello", "NOT{ @t:hello }"),
                ("@t:\"a1 b1\"", "@t:EXACT { @t:a1 @t:b1 }"),
                ("@n:[1 (5]", "NUMERIC {1.000000 <= @n < 5.000000}"),
                ("@n:[(1,2]", "NUMERIC {1.000000 < @n <= 2.000000}"),
                ("@n:[-inf +inf]", "NUMERIC {-inf <= @n <= inf}"),
                ("@n:[-1.5e3 .5]", "NUMERIC {-1500.000000 <= @n <= 0.500000}"),
                ("@n:[5 1]", "NUMERIC {5.000000 <= @n <= 1.000000}"),
                ("@n:[1 2]|aa", "UNION { NUMERIC {1.000000 <= @n <= 2.000000} aa }"),
                ("@geo:[1 2 3 km]", "GEO geo:{1.000000,2.000000 --> 3.000000 km}"),
                ("@geo:[-1.5 2 3 KM]", "GEO geo:{-1.500000,2.000000 --> 3.000000 km}"),
                ("@geo:[1 2 3 yd]", "Invalid GeoFilter unit"),
                ("@geo:[1 2 -3 km]", "Invalid GeoFilter radius"),
                ("@g:{foo  bar | BAZ}", "TAG:@g { foo bar baz }"),
                ("@c:{BAZ}", "TAG:@c { BAZ }"),
                ("@g:{hello\\-world|a\\|b|c\\}}", "TAG:@g { hello-world a|b c} }"),
                ("@g:{hello-world|the}", "TAG:@g { hello-world the }"),
                ("@g:{fo*|*ar|*oo*|x\\*}", "TAG:@g { PREFIX{fo*} SUFFIX{*ar} INFIX{*oo*} x* }"),
            ],
        );
    }
}

#[test]
fn signs_and_fields_of_dialect_1_reach_far() {
    check(
        Dialect::V1,
        &[
            ("@t:hello world", "@t:INTERSECT { @t:hello @t:world }"),
            ("@t:hello (world) foo", "INTERSECT { @t:hello world foo }"),
            (
                "@t:hello world|foo bar",
                "@t:UNION { @t:INTERSECT { @t:hello @t:world } @t:INTERSECT { @t:foo @t:bar } }",
            ),
            ("@t:(hello) world", "INTERSECT { @t:hello world }"),
            ("@t:(aa) bb|cc", "INTERSECT { @t:aa UNION { bb cc } }"),
            ("@t:aa|(bb) cc", "INTERSECT { @t:UNION { @t:aa @t:bb } cc }"),
            ("@t:aa|@u:bb cc", "@t:UNION { @t:aa @NULL:INTERSECT { @NULL:bb @NULL:cc } }"),
            ("@t:\"bb cc\" dd", "INTERSECT { @t:EXACT { @t:bb @t:cc } dd }"),
            ("@t:hel* world", "INTERSECT { @t:PREFIX{hel*} world }"),
            ("@t:aa %bb% cc", "INTERSECT { @t:aa FUZZY{bb} cc }"),
            ("hel* world foo", "INTERSECT { PREFIX{hel*} INTERSECT { world foo } }"),
            ("@t:aa|bb -cc", "INTERSECT { @t:UNION { @t:aa @t:bb } NOT{ cc } }"),
            ("(aa) (bb)|cc", "INTERSECT { aa UNION { bb cc } }"),
            ("(aa)|(bb) cc", "INTERSECT { UNION { aa bb } cc }"),
            ("\"aa bb\" cc|dd", "INTERSECT { EXACT { aa bb } UNION { cc dd } }"),
            ("-aa bb cc", "NOT{ INTERSECT { aa bb cc } }"),
            ("~aa bb cc", "OPTIONAL{ INTERSECT { aa bb cc } }"),
            ("-hello (world) foo", "NOT{ INTERSECT { hello world foo } }"),
            ("-hello @t:world foo", "NOT{ INTERSECT { hello @t:INTERSECT { @t:world @t:foo } } }"),
            ("-hello|world foo", "NOT{ UNION { hello INTERSECT { world foo } } }"),
            ("hello -world|foo bar", "INTERSECT { hello NOT{ UNION { world INTERSECT { foo bar } } } }"),
            ("hello|-world foo", "UNION { hello NOT{ INTERSECT { world foo } } }"),
            ("-aa -bb cc", "INTERSECT { NOT{ aa } NOT{ INTERSECT { bb cc } } }"),
            ("(-hello) world", "INTERSECT { NOT{ hello } world }"),
            ("-aa ~bb \"cc dd\" -ee", "INTERSECT { NOT{ aa } OPTIONAL{ INTERSECT { bb EXACT { cc dd } NOT{ ee } } } }"),
            ("-aa \"bb cc\" dd", "INTERSECT { NOT{ aa } EXACT { bb cc } dd }"),
            ("-@n:[1 2] aa", "NOT{ INTERSECT { NUMERIC {1.000000 <= @n <= 2.000000} aa } }"),
            ("aa bb=>{$weight:2}", "INTERSECT { aa bb } => { $weight: 2; }"),
            ("aa=>{$weight:2} bb", "INTERSECT { aa => {$weight: 2;} bb }"),
            ("\"aa bb\"=>{$weight:2} cc", "INTERSECT { EXACT { aa bb } => { $weight: 2; } cc }"),
            (
                "(aa|bb)=>{$weight:2;$slop:3} cc",
                "INTERSECT { UNION { aa bb } => { $weight: 2; $slop: 3; $inorder: false; } cc }",
            ),
            ("\"the fox\"", "Syntax error at offset 1 near the"),
            ("$foo", "Syntax error at offset 0 near $"),
            ("(*)", "Syntax error at offset 1 near *"),
            ("@n:[1]", "Syntax error at offset 3 near ["),
        ],
    );
}

#[test]
fn signs_and_fields_of_dialect_2_bind_one_clause() {
    for dialect in [Dialect::V2, Dialect::V3, Dialect::V4] {
        check(
            dialect,
            &[
                ("@t:hello world", "INTERSECT { @t:hello world }"),
                ("@t:hello|world", "UNION { @t:hello world }"),
                ("-aa bb", "INTERSECT { NOT{ aa } bb }"),
                ("~aa bb cc", "INTERSECT { OPTIONAL{ aa } bb cc }"),
                ("--aa", "NOT{ NOT{ aa } }"),
                ("-aa|bb", "UNION { NOT{ aa } bb }"),
                ("hello world | \"goodbye\" moon", "UNION { INTERSECT { hello world } INTERSECT { goodbye moon } }"),
                ("(aa) (bb)|cc", "UNION { INTERSECT { aa bb } cc }"),
                ("aa bb=>{$weight:2}", "INTERSECT { aa bb => {$weight: 2;} }"),
                ("(aa bb)=>{$slop: 1; $inorder: true}", "INTERSECT { aa bb } => { $slop: 1; $inorder: true; }"),
                ("(*)", "<WILDCARD>"),
                ("(*)|aa", "UNION { <WILDCARD> aa }"),
                ("\"the fox\"", "EXACT { the fox }"),
                ("\"a\\\"b c\"", "EXACT { a\"b c }"),
                ("@t:\"\"", "@t:"),
                ("''", ""),
                ("w'h?l*o'", "WILDCARD{h?l*o}"),
                ("@t:w'it\\'s'", "@t:WILDCARD{it\\'s}"),
                ("@n:[5]", "NUMERIC {5.000000 <= @n <= 5.000000}"),
                ("@n==5", "NUMERIC {5.000000 <= @n <= 5.000000}"),
                ("@n != -5", "NOT{ NUMERIC {-5.000000 <= @n <= -5.000000} }"),
                ("@n>5 @n<=6", "INTERSECT { NUMERIC {5.000000 < @n <= inf} NUMERIC {-inf <= @n <= 6.000000} }"),
                ("@n>=-5 @n<6.5", "INTERSECT { NUMERIC {-5.000000 <= @n <= inf} NUMERIC {-inf <= @n < 6.500000} }"),
                ("ismissing(@m)", "ISMISSING{m}"),
                ("-ismissing(@m) ismissing", "INTERSECT { NOT{ ISMISSING{m} } ismissing }"),
                ("ismissing(@t)", "'ismissing' requires field 't' to be defined with 'INDEXMISSING'"),
                ("@g:{\"a | b}\" | 'c-d' | w'e*'}", "TAG:@g { a | b} c-d WILDCARD{e*} }"),
                ("*=>[KNN 10 @v $blob]", "VECTOR queries are not supported, at offset 1"),
                ("@v:[VECTOR_RANGE 1 $b]", "VECTOR queries are not supported, at offset 3"),
                ("@x:[WITHIN $shape]", "GEOSHAPE queries are not supported, at offset 3"),
            ],
        );
    }
}

#[test]
fn parameters_stand_for_words_and_numbers() {
    let params = [("w", "Hello World"), ("n", "5"), ("x", "abc"), ("u", "km"), ("e", "")];
    for (text, expected) in [
        ("$w", "hello world"),
        ("@t:$w*", "@t:PREFIX{hello world*}"),
        ("*$x", "SUFFIX{*abc}"),
        ("%$x%", "FUZZY{abc}"),
        ("\"foo $x\"", "EXACT { foo abc }"),
        ("\"for $5\"", "EXACT { for 5 }"),
        ("@n:[$n ($n]", "NUMERIC {5.000000 <= @n < 5.000000}"),
        ("@n:[-$n inf]", "NUMERIC {-5.000000 <= @n <= inf}"),
        ("@n==$n", "NUMERIC {5.000000 <= @n <= 5.000000}"),
        ("@geo:[$n 2 3 $u]", "GEO geo:{5.000000,2.000000 --> 3.000000 km}"),
        ("@g:{$w | $x*}", "TAG:@g { hello world PREFIX{abc*} }"),
        ("aa=>{$weight: $n}", "aa => {$weight: 5;}"),
        ("$e", ""),
        ("$q", "No such parameter `q`"),
        ("@n:[$x 1]", "Invalid numeric value (abc) for parameter `x`"),
        ("aa=>{$weight: $x}", "Invalid value (abc) for `weight`"),
    ] {
        let result = query_with(text.as_bytes(), &params, &verbatim(Dialect::V2), &Synonyms::default());
        assert_eq!(on_one_line(result), expected, "{text}");
    }
}

#[test]
fn errors_say_where_and_near_what() {
    for dialect in [Dialect::V1, Dialect::V2] {
        check(
            dialect,
            &[
                ("hello (", "Syntax error at offset 6 near ("),
                ("()", "Syntax error at offset 1 near )"),
                ("foo)", "Syntax error at offset 3 near )"),
                ("(foo", "Syntax error at offset 1 near foo"),
                ("foo|", "Syntax error at offset 3 near |"),
                ("|foo", "Syntax error at offset 0 near |"),
                ("* foo", "Syntax error at offset 2 near foo"),
                ("foo *", "Syntax error at offset 4 near *"),
                ("-*", "Syntax error at offset 1 near *"),
                ("-", "Syntax error at offset 0 near -"),
                ("@t:", "Syntax error at offset 2 near :"),
                ("@t", "Syntax error at offset 0 near @"),
                ("@:foo", "Syntax error at offset 1 near :"),
                ("foo:bar", "Syntax error at offset 3 near :"),
                ("foo;bar", "Syntax error at offset 3 near ;"),
                ("foo[bar", "Syntax error at offset 3 near ["),
                ("\"foo bar", "Syntax error at offset 0 near \""),
                ("%foo", "Syntax error at offset 1 near foo"),
                ("%%foo%", "Syntax error at offset 5 near %"),
                ("%%%%foo%%%%", "Syntax error at offset 3 near %"),
                ("@n:[1 2", "Syntax error at offset 3 near ["),
                ("@n:[a b]", "Syntax error at offset 3 near a"),
                ("@n:[1 2 3]", "Syntax error at offset 3 near ["),
                ("@g:{}", "Syntax error at offset 4 near {"),
                ("@g:{a|}", "Syntax error at offset 6 near {"),
                ("@g:{a", "Syntax error at offset 3 near {"),
                ("@g|t:{foo}", "Syntax error at offset 5 near {"),
                ("foo=>{$bar: 1}", "Invalid attribute bar"),
                ("foo=>{$weight: abc}", "Invalid value (abc) for `weight`"),
                ("foo=>bar", "Syntax error at offset 5 near bar"),
                ("foo =>", "Syntax error at offset 4 near =>"),
            ],
        );
    }
}
