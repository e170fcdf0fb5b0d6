//! Macros and call blocks: the engine's macro under a hidden name, wrapped in one of ours that binds arguments as
//! Python does. In: a declaration. Out: the statements that make it. Never the engine's own binding of arguments.

use minijinja::Value;
use minijinja::machinery::ast::{
    Call, CallArg, CallBlock, EmitExpr, Expr, IfExpr, Macro, Spanned, Stmt,
};

use super::super::error::Fault;
use super::super::routine::Signature;
use super::{Fold, assignment, call, constant, names, variable};

/// Names a macro has without naming them.
const SPECIAL: [&str; 3] = ["caller", "kwargs", "varargs"];

impl<'a> Fold<'a, '_> {
    pub(super) fn macro_tag(
        &mut self,
        node: &Spanned<Macro<'a>>,
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<(), Fault> {
        let span = node.span();
        // From the tag's name to the macro's: `macro name`.
        let tag = self.slice(span);
        let length = tag[5..].find(node.name).map_or(tag.len(), |at| 5 + at + node.name.len());
        let hidden = &tag[..length];
        let made = self.routine(node, hidden, Some(node.name), out)?;
        self.note_set(&[node.name]);
        out.push(assignment(node.name, made, span));
        Ok(())
    }

    pub(super) fn call_block(
        &mut self,
        node: &Spanned<CallBlock<'a>>,
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<(), Fault> {
        let hidden = self.slice(node.span());
        let Call { expr, mut args } = self.callee(&node.call)?;
        let caller = self.routine(&node.macro_decl, hidden, None, out)?;
        // Before what is given as `**`, as there.
        let splat = args.iter().position(|arg| matches!(arg, CallArg::KwargSplat(_)));
        args.insert(splat.unwrap_or(args.len()), CallArg::Kwarg("caller", caller));
        let expr = Expr::Call(Spanned::new(Call { expr, args }, node.call.span()));
        let expr = self.emitted(expr, node.call_expr_span);
        out.push(Stmt::EmitExpr(Spanned::new(EmitExpr { expr }, node.call_expr_span)));
        Ok(())
    }

    /// Declares the engine's macro; gives the expression that wraps it.
    fn routine(
        &mut self,
        node: &Spanned<Macro<'a>>,
        hidden: &'a str,
        name: Option<&str>,
        out: &mut Vec<Stmt<'a>>,
    ) -> Result<Expr<'a>, Fault> {
        let span = node.span();
        let params: Vec<&'a str> = node.args.iter().flat_map(names::targets).collect();
        let with_default = params.len() - node.defaults.len();
        let wanted = names::undeclared(&node.body, &SPECIAL);
        let mut extra: Vec<&'a str> = Vec::new();
        for special in SPECIAL {
            let Some(read) = wanted.iter().find(|read| **read == special) else { continue };
            match params.iter().position(|param| *param == special) {
                None => extra.push(read),
                Some(place) if special == "caller" && place < with_default => {
                    let what = "a parameter 'caller' needs a default value";
                    return Err(Fault::span(span, what));
                }
                Some(_) => {}
            }
        }
        let signature = Signature {
            name: name.map(str::to_owned),
            params: params.iter().map(|&param| param.to_owned()).collect(),
            required: with_default,
            reads_caller: wanted.contains(&"caller"),
            kwargs: extra.contains(&"kwargs"),
            varargs: extra.contains(&"varargs"),
        };
        let all: Vec<&'a str> = params.iter().copied().chain(extra).collect();
        let body = self.capturing(|fold| {
            fold.inside(&all, |fold| {
                let mut body = Vec::with_capacity(node.body.len() + node.defaults.len());
                for (&param, default) in params[with_default..].iter().zip(&node.defaults) {
                    let span = default.span();
                    let chosen = IfExpr {
                        test_expr: call("op.given", span, variable(param, span), Vec::new()),
                        true_expr: variable(param, span),
                        false_expr: Some(fold.expr(default)?),
                    };
                    let chosen = Expr::IfExpr(Spanned::new(chosen, span));
                    body.push(assignment(param, chosen, span));
                }
                fold.stmts_into(&node.body, &mut body)?;
                Ok(body)
            })
        })?;
        let args = all.iter().map(|param| variable(param, span)).collect();
        let inner = Macro { name: hidden, args, defaults: Vec::new(), body };
        out.push(Stmt::Macro(Spanned::new(inner, span)));
        let signature = constant(Value::from_object(signature), span);
        Ok(call("op.macro", span, variable(hidden, span), vec![signature]))
    }
}
