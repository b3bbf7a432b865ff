use super::*;
use proptest::prelude::*;

fn row(name: &[u8]) -> Option<Value> {
    match name {
        b"t" => Some(Value::from("Hello World foo")),
        b"n" => Some(Value::Number(7.0)),
        b"g" => Some(Value::from("2.35,48.85")),
        _ => None,
    }
}

fn shown(text: &str) -> String {
    match parse(text.as_bytes()).map(|expression| expression.evaluate(&row)) {
        Ok(Ok(Value::List(items))) => format!(
            "{:?}",
            items.iter().map(|item| String::from_utf8_lossy(&item.text()).into_owned()).collect::<Vec<_>>()
        ),
        Ok(Ok(Value::Null)) => "null".to_owned(),
        Ok(Ok(value)) => String::from_utf8_lossy(&value.text()).into_owned(),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    }
}

/// What RediSearch 1.2.2 says, unless a line says why not.
#[test]
fn values_are_those_that_clients_know() {
    for (text, value) in [
        ("2^3^2", "64"),
        ("2+3*4", "14"),
        ("2*7%4", "2"),
        ("2*3^2", "36"),
        ("1 || 0 && 0", "0"),
        ("!(@n==7)", "0"),
        ("2 - 3", "-1"),
        ("2--3", "5"),
        ("2*-3", "-6"),
        ("1==1==1", "1"),
        ("!1==0", "1"),
        ("'abc' < 'abd'", "1"),
        ("@n=='7'", "1"),
        ("'' || 0", "0"),
        ("1+'2'", "3"),
        ("1/3", "0.333333333333"),
        ("0.1+0.2", "0.3"),
        ("100000000000000000000", "1e+20"),
        ("substr(@t,0,5)", "Hello"),
        ("substr(@t,-3,2)", "fo"),
        ("substr(@t,-3,-1)", "fo"),
        ("substr(@t,1,-1)", "ello World fo"),
        ("substr(@t,100,2)", ""),
        ("format('%s-%s%%',@t,@n)", "Hello World foo-7%"),
        ("split('a; b ;c;;',';',' ')", "[\"a\", \"b\", \"c\"]"),
        ("log(10)", "2.30258509299"),
        ("log('x')", "nan"),
        ("timefmt(0)", "1970-01-01T00:00:00Z"),
        ("timefmt(1500000000,'%Y %d')", "2017 14"),
        ("timefmt('x')", "null"),
        ("timefmt(0, '%')", "null"),
        ("hour(1500003661)", "1500001200"),
        ("minute(1500003661)", "1500003660"),
        ("day(1500003661)", "1499990400"),
        ("month(1500003661)", "1498867200"),
        ("monthofyear(1500003661)", "6"),
        ("dayofweek(1500003661)", "5"),
        ("dayofyear(1500003661)", "194"),
        (r#""a\"b""#, "a\"b"),
        // 2.10 knows these.
        ("1/0", "nan"),
        ("parsetime('2017-07-14T02:40:00Z')", "1500000000"),
        ("parsetime('2017','%Y')", "1483228800"),
        ("parsetime('xx','%Y')", "null"),
        ("exists(@n) + exists(@zz)", "1"),
        ("contains('aaaa','aa') + contains('abc','')", "6"),
        ("startswith(@t,'Hell') && !startswith(@t,'hell')", "1"),
        ("strlen('äb')", "3"),
        ("upper('grüße')", "GRÜSSE"),
        ("to_number('12') + 1", "13"),
        ("case(@n > 5, 'big', 'small')", "big"),
        ("geodistance(@g,'2.36,48.86') == geodistance(2.35,48.85,2.36,48.86)", "1"),
        ("geodistance(@g,2.36,48.86) == geodistance(2.36,48.86,@g)", "1"),
        // Better than 1.2, which can't read them.
        ("10-3-2", "5"),
        ("-@n*2", "-14"),
        ("1e3 + .5", "1000.5"),
        ("'10'==10", "1"),
    ] {
        assert_eq!(shown(text), value, "{text}");
    }
}

#[test]
fn errors_say_what_and_where() {
    for (text, error) in [
        ("", "Syntax error at offset 0 near ''"),
        ("1 2", "Syntax error at offset 2 near '2'"),
        ("1 +", "Syntax error at offset 3 near ''"),
        ("(1", "Syntax error at offset 2 near ''"),
        ("'abc", "Syntax error at offset 0 near ''abc'"),
        ("@", "Syntax error at offset 1 near ''"),
        ("foo", "Unknown symbol 'foo'"),
        ("nosuch(1)", "Unknown function name 'nosuch'"),
        ("strlen(1, 2)", "Invalid arguments for function 'strlen'"),
        ("exists(1)", "Invalid arguments for function 'exists'"),
        ("format('%s')", "Bad format string!"),
        ("format('%d', 1)", "Bad format string!"),
        ("to_number('x')", "to_number: cannot convert string 'x'"),
        ("@zz > 1", "zz: has no value, consider using EXISTS if applicable"),
        ("strlen(split('a'))", "Invalid arguments for function 'strlen'"),
        ("geodistance(@g, 'x')", "Invalid arguments for function 'geodistance'"),
    ] {
        assert_eq!(shown(text), error, "{text}");
    }
    let deep = "(".repeat(100_000);
    assert!(shown(&deep).contains("nested levels"), "{}", &shown(&deep)[..80]);
    assert!(shown(&"!".repeat(100_000)).contains("nested levels"));
}

#[test]
fn properties_are_listed_and_the_other_side_is_not_asked_for() {
    let expression = parse(b"@a == 1 && (exists(@b) || upper(@c) == @a)").expect("it is sound");
    assert_eq!(expression.properties(), [&b"a"[..], b"b", b"c", b"a"]);
    assert_eq!(shown("0 && @zz"), "0");
    assert_eq!(shown("1 || @zz"), "1");
    assert_eq!(shown("exists(@zz) && @zz > 3"), "0");
}

proptest! {
    #[test]
    fn nothing_makes_it_panic(text in prop::collection::vec(prop_oneof![
        Just("("), Just(")"), Just("@n"), Just("@t"), Just("-"), Just("1e"), Just("'"), Just("\""), Just("\\"), Just(","),
        Just("substr("), Just("format("), Just("split("), Just("timefmt("), Just("parsetime("), Just("day("), Just("1"), Just("e300"),
        Just("&&"), Just("=="), Just("%"), Just("'%Y%s'"), Just("^"), Just(" "), Just("inf"), Just("nan"), Just("ü"),
    ], 0..24)) {
        let text = text.concat();
        if let Ok(expression) = parse(text.as_bytes()) {
            let _ = expression.evaluate(&row);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..64)) {
        if let Ok(expression) = parse(&text) {
            let _ = expression.evaluate(&row);
        }
    }

    #[test]
    fn numbers_are_shown_as_c_shows_them(number in any::<f64>()) {
        let text = number_text(number);
        if number.is_finite() {
            let again: f64 = text.parse().expect("a number");
            prop_assert!((again - number).abs() <= number.abs() * 1e-11, "{number} {text}");
            let digits = text.split('e').next().unwrap_or("").trim_start_matches(['-', '0', '.']).replace('.', "").len();
            prop_assert!(digits <= 16, "{text}");
        }
    }
}
