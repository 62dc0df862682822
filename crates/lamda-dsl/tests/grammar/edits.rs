//! Scripts of edits, for both notations.

use crate::Both;
use lamda_dsl::grammar::Language;

const SCRIPTS: &[&str] = &[
    "scale stem.conv 0.75\nscale body.basic 0.75\ndelete body.basic[3]\ndelete body.basic[5]\n",
    "replace layer3.bottleneck[2:] { se; relu }\n",
    "insert after body.mb[13:].relu6[1] { se }\n",
    "set body.mb[k=5] k=3",
    "set **.relu op=hswish\n# a remark\n\nset head.* bias=true p=(0, 1, 1, 0)  # and another\n",
    "delete body.turn[2]\n",
    "insert after body { extra: tcr 64 }\n",
    "insert before gap {\n  conv 64 k=3x1; bn\n  relu\n}\n",
    "replace head { dwconv k=5 p=0x2; conv 40; bn; relu; gap; linear 35 }\n",
    "scale ** 0.7 by=4\n",
    "rename body.mb[-1].conv[*] last\nset a[:-2] c=c_in/2 act=relu s=[2, 1]\n",
    "block mb(c, e=4, s=1) { skip? { conv c_in*e; bn; relu6; dwconv s=s; bn; relu6; conv c; bn } }\n\
     insert before gap { repeat 2 { mb 48 s=[2, 1] } }\n",
];

const OTHERS: &[&str] = &[
    "",
    "model m(x: f32[N, 3]) -> y {\n  relu\n}\n",
    "set stem.conv\n",
    "set stem.conv 64\n",
    "scale stem.conv\n",
    "scale stem.conv 0.5 0.5\n",
    "delete stem.conv k=3\n",
    "delete stem..conv\n",
    "delete stem.conv[]\n",
    "delete stem.if\n",
    "insert body { se }\n",
    "insert behind body { se }\n",
    "insert after body { se foo=1 }\n",
    "replace head conv 8\n",
    "rename a.b c.d\n",
    "delete a; delete b\n",
];

#[test]
fn scripts_are_accepted_and_others_are_not() {
    let both = Both::new(Language::Edits);
    for text in SCRIPTS {
        both.accepts(text);
    }
    for text in OTHERS {
        both.refuses(text);
    }
}
