//! Values and expressions.

use super::{Failed, MAX_EXPR, Parsed, Parser};
use crate::lex::Kind;
use crate::syntax::{At, BinaryOp, Compare, CompareOp, Expr, Func, Value};
use lamda_ir::{Code, Diagnostic};

impl Parser<'_> {
    pub(super) fn value(&mut self) -> Parsed<Value> {
        let token = self.peek();
        match token.kind {
            Kind::Open(b'[') => Ok(Value::List(self.values()?)),
            Kind::Open(b'(') if !self.starts_graph() && (self.is_empty() || self.is_tuple()) => {
                Ok(Value::Tuple(self.values()?))
            }
            Kind::Size => {
                self.bump();
                let parts = self.str(token).split(['x', 'X']).map(str::parse::<u32>);
                match parts.collect::<Result<Vec<u32>, _>>() {
                    Ok(sizes) => Ok(Value::Size(sizes)),
                    Err(_) => Err(self.too_large(token.at)),
                }
            }
            Kind::Text => {
                self.bump();
                Ok(Value::Text(super::foreign::unescape(self.str(token))))
            }
            Kind::Open(b'{') => self.graph(),
            Kind::Sign if self.str(token) == "->" => self.graph(),
            Kind::Open(b'(') if self.starts_graph() => self.graph(),
            Kind::Name if self.starts_type() => {
                let note = self.type_note()?;
                self.not_channels_last(&note);
                Ok(Value::Type(Box::new(note)))
            }
            Kind::Sign if self.str(token) == "@" => {
                self.bump();
                Ok(Value::Ref(self.name("the name of a value")?))
            }
            Kind::Name => match self.str(token) {
                "true" | "True" => self.word(Value::Bool(true)),
                "false" | "False" => self.word(Value::Bool(false)),
                "none" | "None" => self.word(Value::None),
                _ => Ok(Value::Expr(self.expr()?)),
            },
            _ => Ok(Value::Expr(self.expr()?)),
        }
    }

    fn word(&mut self, value: Value) -> Parsed<Value> {
        self.bump();
        Ok(value)
    }

    /// Whether `()` is ahead.
    fn is_empty(&mut self) -> bool {
        self.peek_second().kind == Kind::Close(b'(')
    }

    /// Whether the parentheses ahead have a comma of their own.
    fn is_tuple(&mut self) -> bool {
        self.skip_hidden();
        let mut depth = 0usize;
        for token in &self.tokens[self.pos..] {
            match token.kind {
                Kind::Open(_) => depth += 1,
                Kind::Close(_) if depth <= 1 => return false,
                Kind::Close(_) => depth -= 1,
                Kind::Sign if depth == 1 && self.str(*token) == "," => return true,
                Kind::End | Kind::Semicolon => return false,
                _ => {}
            }
        }
        false
    }

    /// `[a, b]` or `(a, b)`.
    fn values(&mut self) -> Parsed<Vec<Value>> {
        let open = self.open();
        let mut values = Vec::new();
        while !matches!(self.peek().kind, Kind::Close(_)) {
            values.push(self.value()?);
            if !self.eat_sign(",") {
                break;
            }
        }
        self.close(open)?;
        Ok(values)
    }

    fn too_large(&mut self, at: At) -> Failed {
        self.fault(Diagnostic::error(Code::Syntax, "a number that is too large").at(at.span()));
        Failed
    }

    /// An expression from its start.
    pub(super) fn expr(&mut self) -> Parsed<Expr> {
        self.ops = 0;
        self.sum()
    }

    fn count(&mut self, at: At) -> Parsed<()> {
        self.ops += 1;
        if self.ops <= MAX_EXPR {
            return Ok(());
        }
        let message = format!("an expression of more than {MAX_EXPR} operators");
        self.fault(
            Diagnostic::error(Code::TooLarge, message).at(at.span()).help("name parts of it by `let`"),
        );
        Err(Failed)
    }

    fn sum(&mut self) -> Parsed<Expr> {
        let mut left = self.product()?;
        loop {
            let op = match () {
                () if self.is_sign("+") => BinaryOp::Add,
                () if self.is_sign("-") => BinaryOp::Sub,
                () => return Ok(left),
            };
            let at = self.bump().at;
            self.count(at)?;
            left = Expr::Binary(op, Box::new(left), Box::new(self.product()?));
        }
    }

    fn product(&mut self) -> Parsed<Expr> {
        let mut left = self.unary()?;
        loop {
            let token = self.peek();
            let sign = if token.kind == Kind::Sign { self.str(token) } else { "" };
            let op = match sign {
                "*" => BinaryOp::Mul,
                "/" | "//" => BinaryOp::Div,
                _ => return Ok(left),
            };
            self.bump();
            self.count(token.at)?;
            left = Expr::Binary(op, Box::new(left), Box::new(self.unary()?));
            if sign == "//" {
                self.count(token.at)?;
                left = Expr::Func(Func::Floor, vec![left]);
            }
        }
    }

    fn unary(&mut self) -> Parsed<Expr> {
        if self.is_sign("-") {
            let at = self.bump().at;
            self.count(at)?;
            return Ok(Expr::Neg(Box::new(self.unary()?)));
        }
        let base = self.atom()?;
        if self.is_sign("^") || self.is_sign("**") {
            let at = self.bump().at;
            self.count(at)?;
            return Ok(Expr::Binary(BinaryOp::Pow, Box::new(base), Box::new(self.unary()?)));
        }
        Ok(base)
    }

    fn atom(&mut self) -> Parsed<Expr> {
        let token = self.peek();
        match token.kind {
            Kind::Int | Kind::Float => {
                self.bump();
                match self.str(token).parse::<f64>() {
                    Ok(n) if token.kind == Kind::Float && n.is_finite() && n.fract() == 0.0 => {
                        Ok(Expr::Real(n))
                    }
                    // Counts are far below; what `const` holds may be any number of 64 bits.
                    Ok(n) if n.is_finite() && n <= 2f64.powi(64) => Ok(Expr::Number(n)),
                    _ => Err(self.too_large(token.at)),
                }
            }
            Kind::Name => {
                let func = Func::ALL.into_iter().find(|f| f.word() == self.str(token));
                if let Some(func) = func
                    && self.peek_second().kind == Kind::Open(b'(')
                {
                    self.bump();
                    return self.func(func);
                }
                self.bump();
                Ok(Expr::Name(self.name_of(token)))
            }
            Kind::Open(b'(') => {
                self.count(token.at)?;
                let open = self.open();
                let inner = self.sum()?;
                self.close(open)?;
                Ok(inner)
            }
            _ => Err(self.expected("a value")),
        }
    }

    fn func(&mut self, func: Func) -> Parsed<Expr> {
        let open = self.open();
        self.count(open.at)?;
        let mut args = vec![self.sum()?];
        while self.eat_sign(",") {
            args.push(self.sum()?);
        }
        let at = self.close(open)?;
        let fits = match func {
            Func::Min | Func::Max => args.len() >= 2,
            Func::R8 | Func::Floor | Func::Ceil => args.len() == 1,
        };
        if !fits {
            let message = format!("`{}` of {} values", func.word(), args.len());
            return Err(self.refuse(
                at,
                message,
                "r8, floor and ceil take one value, min and max two or more",
            ));
        }
        Ok(Expr::Func(func, args))
    }

    /// `e > 1 and s == 1`
    pub(super) fn test(&mut self) -> Parsed<Vec<Compare>> {
        let mut all = vec![self.compare()?];
        loop {
            if self.is_word("and") || self.is_sign("&&") {
                self.bump();
                all.push(self.compare()?);
            } else if self.is_word("or") || self.is_word("not") {
                let at = self.peek().at;
                let help = "comparisons are joined by `and`; write a second `if` for the other case";
                return Err(self.refuse(at, "no `or` and no `not` in a test", help));
            } else {
                return Ok(all);
            }
        }
    }

    fn compare(&mut self) -> Parsed<Compare> {
        let left = self.operand()?;
        let token = self.peek();
        let sign = if token.kind == Kind::Sign { self.str(token) } else { "" };
        let ops = [
            CompareOp::Equal,
            CompareOp::NotEqual,
            CompareOp::LessEqual,
            CompareOp::GreaterEqual,
            CompareOp::Less,
            CompareOp::Greater,
        ];
        let Some(op) = ops.into_iter().find(|op| op.sign() == sign) else {
            return Ok(Compare { left, right: None });
        };
        self.bump();
        Ok(Compare { left, right: Some((op, self.operand()?)) })
    }

    /// A side of a comparison: an expression, where `true` is 1 and `false` 0.
    fn operand(&mut self) -> Parsed<Expr> {
        let token = self.peek();
        let number = match self.str(token) {
            "true" | "True" => 1.0,
            "false" | "False" => 0.0,
            _ => return self.expr(),
        };
        self.bump();
        Ok(Expr::Number(number))
    }
}
