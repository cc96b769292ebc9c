"""How each CSS framework writes its elements: templates whose `{e}` takes the marks that truth.js reads.

`{b}` is the body of the element, `{on}` the word that makes it the chosen one, `{off}` " disabled" or nothing,
`{checked}` " checked" or nothing, `{id}` a fresh identifier.
"""

from dataclasses import dataclass, replace

BUTTON = '<button {e} class="{c}"{off}>{b}</button>'
LINK_BUTTON = '<a {e} class="{c}" role="button" href="#"{off}>{b}</a>'
BOX = '<label><input type="{kind}" {e}{checked}{off}> {b}</label>'
BARE_TABS = ('<div class="t-tabs">{b}</div>', '<a {e} class="t-tab {on}">{b}</a>', "t-on")
BARE_MENU = ('<div class="t-menu">{b}</div>', '<a {e} class="t-item {on}">{b}</a>', "t-on")


@dataclass(frozen=True, slots=True)
class Framework:
    """One look. Lists of classes are chosen from; a trio is (container, item, word of the chosen item).

    `package` and `version` name the source, `sheets` are files in it; `root` are attributes of <html>,
    `css` what the page adds.
    """

    name: str
    package: str = ""
    version: str = ""
    sheets: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ("",)
    button: str = BUTTON
    text: str = '<input type="{kind}" {e} {value}{off}>'
    area: str = '<textarea {e} rows="{rows}"{off}>{b}</textarea>'
    select: str = "<select {e}{off}><option>{b}</option></select>"
    boxes: tuple[str, ...] = (BOX,)
    switches: tuple[str, ...] = ()
    slider: str = '<input type="range" {e} value="{at}"{off}>'
    tabs: tuple[tuple[str, str, str], ...] = (BARE_TABS,)
    menus: tuple[tuple[str, str, str], ...] = (BARE_MENU,)
    card: str = ""
    table: str = ""
    badge: str = ""
    roots: tuple[str, ...] = ("",)
    dark: str | None = None
    css: str = ""


_KINDS = "primary secondary success danger warning info light dark".split()
_BOOTSTRAP = Framework(
    "bootstrap5",
    "bootstrap",
    "5",
    ("package/dist/css/bootstrap.min.css",),
    buttons=tuple(
        f"btn btn-{outline}{kind}{size}"
        for kind in _KINDS
        for outline in ("", "outline-")
        for size in ("", " btn-sm", " btn-lg")
    )
    + ("btn btn-link", "btn btn-light border", "btn btn-primary rounded-pill"),
    text='<input type="{kind}" {e} class="form-control" {value}{off}>',
    area='<textarea {e} class="form-control" rows="{rows}"{off}>{b}</textarea>',
    select='<select {e} class="form-select"{off}><option>{b}</option></select>',
    boxes=(
        '<div class="form-check"><input type="{kind}" {e} class="form-check-input"{checked}{off}>'
        '<label class="form-check-label">{b}</label></div>',
    ),
    switches=(
        '<div class="form-check form-switch"><input type="checkbox" {e} class="form-check-input"{checked}{off}>'
        '<label class="form-check-label">{b}</label></div>',
    ),
    slider='<input type="range" {e} class="form-range" value="{at}"{off}>',
    tabs=tuple(
        (
            f'<ul class="nav {kind}">{{b}}</ul>',
            '<li class="nav-item"><a {e} class="nav-link {on}">{b}</a></li>',
            "active",
        )
        for kind in ("nav-tabs", "nav-pills", "nav-underline", "nav-tabs nav-fill")
    ),
    menus=(
        ('<div class="list-group">{b}</div>', '<a {e} class="list-group-item {on}">{b}</a>', "active"),
        ('<div class="nav nav-pills flex-column">{b}</div>', '<a {e} class="nav-link {on}">{b}</a>', "active"),
        (
            '<div class="dropdown-menu show position-static">{b}</div>',
            '<a {e} class="dropdown-item {on}">{b}</a>',
            "active",
        ),
    ),
    card="card card-body",
    table="table",
    badge="badge text-bg-secondary",
    dark='data-bs-theme="dark"',
)
_SWATCHES = (
    "brite cerulean cosmo cyborg darkly flatly journal litera lumen lux materia minty morph pulse quartz sandstone "
    "simplex sketchy slate solar spacelab superhero united vapor yeti zephyr"
).split()
_DAISY = (
    "light dark cupcake bumblebee emerald corporate synthwave retro cyberpunk valentine halloween garden forest aqua lofi "
    "pastel fantasy wireframe black luxury dracula cmyk autumn business acid lemonade night coffee winter dim nord sunset"
).split()
_DAISY_KINDS = "primary secondary accent neutral info success warning error ghost link".split()

FRAMEWORKS = (
    _BOOTSTRAP,
    *(
        replace(
            _BOOTSTRAP,
            name=f"bootswatch-{name}",
            package="bootswatch",
            sheets=(f"package/dist/{name}/bootstrap.min.css",),
        )
        for name in _SWATCHES
    ),
    replace(
        _BOOTSTRAP,
        name="tabler",
        package="@tabler/core",
        version="",
        sheets=("package/dist/css/tabler.min.css",),
        buttons=tuple(
            f"btn btn-{kind}" for kind in ("primary", "ghost-primary", "outline-azure", "green", "red", "pill")
        ),
    ),
    replace(
        _BOOTSTRAP,
        name="bootstrap4",
        version="4",
        select='<select {e} class="custom-select"{off}><option>{b}</option></select>',
        slider='<input type="range" {e} class="form-control-range" value="{at}"{off}>',
        switches=(),
        dark=None,
        badge="badge badge-secondary",
    ),
    Framework(
        "bootstrap3",
        "bootstrap",
        "3",
        ("package/dist/css/bootstrap.min.css",),
        buttons=tuple(
            f"btn btn-{kind}{size}"
            for kind in "default default primary success info warning danger".split()
            for size in ("", " btn-sm", " btn-xs")
        ),
        text='<input type="{kind}" {e} class="form-control" {value}{off}>',
        area='<textarea {e} class="form-control" rows="{rows}"{off}>{b}</textarea>',
        select='<select {e} class="form-control"{off}><option>{b}</option></select>',
        boxes=('<div class="{kind}"><label><input type="{kind}" {e}{checked}{off}> {b}</label></div>',),
        tabs=(
            ('<ul class="nav nav-tabs">{b}</ul>', '<li class="{on}"><a {e}>{b}</a></li>', "active"),
            ('<ul class="nav nav-pills">{b}</ul>', '<li class="{on}"><a {e}>{b}</a></li>', "active"),
        ),
        menus=(('<div class="list-group">{b}</div>', '<a {e} class="list-group-item {on}">{b}</a>', "active"),),
        card="panel panel-default panel-body",
        table="table table-bordered",
        badge="label label-default",
    ),
    Framework(
        "bulma",
        "bulma",
        "",
        ("package/css/bulma.min.css",),
        buttons=tuple(
            f"button is-{kind}{more}"
            for kind in "primary link info success warning danger light dark text white".split()
            for more in ("", " is-small", " is-outlined", " is-light", " is-rounded")
        )
        + ("button",),
        text='<input type="{kind}" {e} class="input" {value}{off}>',
        area='<textarea {e} class="textarea" rows="{rows}"{off}>{b}</textarea>',
        select='<div class="select"><select {e}{off}><option>{b}</option></select></div>',
        boxes=('<label class="{kind}"><input type="{kind}" {e}{checked}{off}> {b}</label>',),
        tabs=tuple(
            (f'<div class="tabs {kind}"><ul>{{b}}</ul></div>', '<li class="{on}"><a {e}>{b}</a></li>', "is-active")
            for kind in ("", "is-boxed", "is-toggle")
        ),
        menus=(
            (
                '<aside class="menu"><ul class="menu-list">{b}</ul></aside>',
                '<li><a {e} class="{on}">{b}</a></li>',
                "is-active",
            ),
        ),
        card="box",
        table="table is-striped",
        badge="tag is-info",
        dark='data-theme="dark"',
        roots=('data-theme="light"',),
    ),
    Framework(
        "pico",
        "@picocss/pico",
        "",
        ("package/css/pico.min.css",),
        buttons=("", "secondary", "contrast", "outline", "outline secondary"),
        switches=('<label><input type="checkbox" role="switch" {e}{checked}{off}> {b}</label>',),
        card="p-card",
        roots=('data-theme="light"',),
        dark='data-theme="dark"',
        css="button,[role=button],input:not([type=checkbox]):not([type=radio]),select,textarea{width:auto;margin-bottom:4px}"
        ":root{--pico-font-size:15px}",
    ),
    Framework(
        "milligram",
        "milligram",
        "",
        ("package/dist/milligram.min.css",),
        buttons=("button", "button button-outline", "button button-clear"),
    ),
    Framework(
        "foundation",
        "foundation-sites",
        "",
        ("package/dist/css/foundation.min.css",),
        buttons=tuple(
            f"button {kind}{more}"
            for kind in "primary secondary success alert warning".split()
            for more in ("", " hollow", " small", " tiny")
        ),
        tabs=(('<ul class="tabs">{b}</ul>', '<li class="tabs-title {on}"><a {e}>{b}</a></li>', "is-active"),),
        menus=(('<ul class="menu vertical">{b}</ul>', '<li class="{on}"><a {e}>{b}</a></li>', "is-active"),),
        card="callout",
        badge="label",
        css=".tabs-title.is-active>a{background:#e6e6e6;color:#1779ba}",
    ),
    Framework(
        "materialize",
        "materialize-css",
        "",
        ("package/dist/css/materialize.min.css",),
        buttons=("btn", "btn-small", "btn-large", "btn-flat", "btn red", "btn blue-grey", "btn purple"),
        select='<select {e} class="browser-default"{off}><option>{b}</option></select>',
        area='<textarea {e} class="materialize-textarea"{off}>{b}</textarea>',
        boxes=(
            '<label><input type="checkbox" class="filled-in"{checked}{off}><span {e} data-pseudo="::after">{b}</span></label>',
        ),
        tabs=(('<ul class="tabs">{b}</ul>', '<li class="tab"><a {e} class="{on}">{b}</a></li>', "active"),),
        menus=(('<div class="collection">{b}</div>', '<a {e} class="collection-item {on}">{b}</a>', "active"),),
        card="card-panel",
        css=".tabs .tab{flex:none}",
    ),
    Framework(
        "spectre",
        "spectre.css",
        "",
        ("package/dist/spectre.min.css",),
        buttons=(
            "btn",
            "btn btn-primary",
            "btn btn-link",
            "btn btn-success",
            "btn btn-error",
            "btn btn-sm",
            "btn btn-primary btn-lg",
        ),
        text='<input type="{kind}" {e} class="form-input" {value}{off}>',
        area='<textarea {e} class="form-input" rows="{rows}"{off}>{b}</textarea>',
        select='<select {e} class="form-select"{off}><option>{b}</option></select>',
        boxes=(
            '<label class="form-checkbox"><input type="checkbox"{checked}{off}><i {e} class="form-icon"></i> {b}</label>',
            '<label class="form-radio"><input type="radio"{checked}{off}><i {e} class="form-icon"></i> {b}</label>',
        ),
        switches=(
            '<label class="form-switch"><input type="checkbox"{checked}{off}><i {e} class="form-icon"></i> {b}</label>',
        ),
        tabs=(('<ul class="tab">{b}</ul>', '<li class="tab-item {on}"><a {e}>{b}</a></li>', "active"),),
        menus=(('<ul class="menu">{b}</ul>', '<li class="menu-item"><a {e} class="{on}">{b}</a></li>', "active"),),
        table="table",
        badge="chip",
    ),
    Framework(
        "fomantic",
        "fomantic-ui-css",
        "",
        ("package/semantic.min.css",),
        buttons=tuple(
            f"ui {more}{kind} button"
            for kind in ("", "primary", "secondary", "positive", "negative", "red", "teal", "violet")
            for more in ("", "basic ", "small ", "mini ")
        ),
        text='<div class="ui input"><input type="{kind}" {e} {value}{off}></div>',
        select='<select {e} class="ui selection dropdown"{off}><option>{b}</option></select>',
        boxes=(
            '<div class="ui checkbox"><input type="checkbox"{checked}{off}><label {e} data-pseudo="::before">{b}</label></div>',
        ),
        switches=(
            '<div class="ui toggle checkbox"><input type="checkbox"{checked}{off}><label {e} data-pseudo="::before">{b}</label></div>',
        ),
        tabs=tuple(
            (f'<div class="ui {kind} menu">{{b}}</div>', '<a {e} class="item {on}">{b}</a>', "active")
            for kind in ("tabular", "pointing", "secondary", "secondary pointing")
        ),
        menus=(('<div class="ui vertical menu">{b}</div>', '<a {e} class="item {on}">{b}</a>', "active"),),
        card="ui segment",
        table="ui celled table",
        badge="ui label",
    ),
    Framework(
        "daisyui",
        "daisyui",
        "",
        ("package/dist/full.css",),
        buttons=tuple(
            f"btn btn-{kind}{more}" for kind in _DAISY_KINDS for more in ("", " btn-sm", " btn-outline", " btn-xs")
        )
        + ("btn",),
        text='<input type="{kind}" {e} class="input input-bordered" {value}{off}>',
        area='<textarea {e} class="textarea textarea-bordered" rows="{rows}"{off}>{b}</textarea>',
        select='<select {e} class="select select-bordered"{off}><option>{b}</option></select>',
        boxes=(
            '<label class="t-row"><input type="checkbox" {e} class="checkbox"{checked}{off}> {b}</label>',
            '<label class="t-row"><input type="checkbox" {e} class="checkbox checkbox-primary checkbox-sm"{checked}{off}> {b}</label>',
            '<label class="t-row"><input type="radio" {e} class="radio radio-accent"{checked}{off}> {b}</label>',
        ),
        switches=(
            '<label class="t-row"><input type="checkbox" {e} class="toggle toggle-primary"{checked}{off}> {b}</label>',
        ),
        slider='<input type="range" {e} class="range range-primary range-sm" value="{at}"{off}>',
        tabs=tuple(
            (f'<div class="tabs {kind}">{{b}}</div>', '<a {e} class="tab {on}">{b}</a>', "tab-active")
            for kind in ("tabs-boxed", "tabs-bordered", "tabs-lifted")
        ),
        menus=(
            ('<ul class="menu bg-base-200 rounded-box">{b}</ul>', '<li><a {e} class="{on}">{b}</a></li>', "active"),
        ),
        card="card card-bordered bg-base-100 p-card",
        table="table table-zebra",
        badge="badge badge-secondary",
        roots=tuple(f'data-theme="{theme}"' for theme in _DAISY),
    ),
    Framework(
        "pure",
        "purecss",
        "",
        ("package/build/pure-min.css",),
        buttons=("pure-button", "pure-button pure-button-primary", "pure-button pure-button-active"),
        tabs=(
            (
                '<div class="pure-menu pure-menu-horizontal"><ul class="pure-menu-list">{b}</ul></div>',
                '<li class="pure-menu-item {on}"><a {e} class="pure-menu-link">{b}</a></li>',
                "pure-menu-selected",
            ),
        ),
        menus=(
            (
                '<div class="pure-menu"><ul class="pure-menu-list">{b}</ul></div>',
                '<li class="pure-menu-item {on}"><a {e} class="pure-menu-link">{b}</a></li>',
                "pure-menu-selected",
            ),
        ),
        table="pure-table pure-table-bordered",
    ),
    Framework(
        "uikit",
        "uikit",
        "",
        ("package/dist/css/uikit.min.css",),
        buttons=tuple(
            f"uk-button uk-button-{kind}{more}"
            for kind in "default primary secondary danger text".split()
            for more in ("", " uk-button-small")
        ),
        text='<input type="{kind}" {e} class="uk-input" {value}{off}>',
        area='<textarea {e} class="uk-textarea" rows="{rows}"{off}>{b}</textarea>',
        select='<select {e} class="uk-select"{off}><option>{b}</option></select>',
        boxes=(
            '<label><input type="checkbox" {e} class="uk-checkbox"{checked}{off}> {b}</label>',
            '<label><input type="radio" {e} class="uk-radio"{checked}{off}> {b}</label>',
        ),
        slider='<input type="range" {e} class="uk-range" value="{at}"{off}>',
        tabs=(
            ('<ul class="uk-tab">{b}</ul>', '<li class="{on}"><a {e}>{b}</a></li>', "uk-active"),
            ('<ul class="uk-subnav uk-subnav-pill">{b}</ul>', '<li class="{on}"><a {e}>{b}</a></li>', "uk-active"),
        ),
        menus=(('<ul class="uk-nav uk-nav-default">{b}</ul>', '<li class="{on}"><a {e}>{b}</a></li>', "uk-active"),),
        card="uk-card uk-card-default uk-card-body uk-card-small",
        table="uk-table uk-table-small uk-table-divider",
        badge="uk-label",
    ),
    Framework(
        "98",
        "98.css",
        "",
        ("package/dist/98.css",),
        boxes=(
            '<div class="field-row"><input type="{kind}" id="{id}"{checked}{off}><label for="{id}" {e} data-pseudo="::before">{b}</label></div>',
        ),
        tabs=(('<menu role="tablist">{b}</menu>', '<li role="tab" {e} aria-selected="{on}"><a>{b}</a></li>', "true"),),
        # Its own slider is an empty box with a drawing that overflows it.
        slider='<span {e} class="t-slider" style="width:160px"><i style="width:{at}%"></i><b style="left:{at}%"></b></span>',
        css="body{background:#c0c0c0!important;color:#000!important}",
    ),
    Framework(
        "7",
        "7.css",
        "",
        ("package/dist/7.css",),
        buttons=("", "", "default"),
        boxes=(
            '<div class="field-row"><input type="{kind}" id="{id}"{checked}{off}><label for="{id}" {e} data-pseudo="::before">{b}</label></div>',
        ),
        tabs=(('<menu role="tablist">{b}</menu>', '<button role="tab" {e} aria-selected="{on}">{b}</button>', "true"),),
        css="body{background:#f0f0f0!important;color:#000!important}",
    ),
    Framework("water", "water.css", "", ("package/out/light.min.css",), css="body{max-width:none!important}"),
    Framework("water-dark", "water.css", "", ("package/out/dark.min.css",), css="body{max-width:none!important}"),
    Framework("simple", "simpledotcss", "", ("package/simple.min.css",), css="body{display:block!important}"),
    Framework(
        "chota",
        "chota",
        "",
        ("package/dist/chota.min.css",),
        buttons=(
            "button",
            "button primary",
            "button secondary",
            "button dark",
            "button error",
            "button outline",
            "button clear",
        ),
        tabs=(('<nav class="tabs">{b}</nav>', '<a {e} class="{on}">{b}</a>', "active"),),
        card="card",
    ),
    Framework(
        "govuk",
        "govuk-frontend",
        "",
        ("package/dist/govuk/govuk-frontend.min.css",),
        buttons=("govuk-button", "govuk-button govuk-button--secondary", "govuk-button govuk-button--warning"),
        text='<input type="{kind}" {e} class="govuk-input" {value}{off}>',
        area='<textarea {e} class="govuk-textarea" rows="{rows}"{off}>{b}</textarea>',
        select='<select {e} class="govuk-select"{off}><option>{b}</option></select>',
        boxes=(
            '<div class="govuk-checkboxes govuk-checkboxes--small"><div class="govuk-checkboxes__item"><input type="checkbox" class="govuk-checkboxes__input" id="{id}"{checked}{off}>'
            '<label for="{id}" class="govuk-label govuk-checkboxes__label" {e} data-pseudo="::before">{b}</label></div></div>',
        ),
        table="govuk-table",
        badge="govuk-tag",
    ),
    *(
        Framework(
            f"antd-{look}",
            "antd",
            "",
            (f"package/dist/antd{look and '.' + look}.min.css",),
            buttons=tuple(
                f"ant-btn ant-btn-{kind}{more}"
                for kind in ("default", "primary", "dashed", "text")
                for more in ("", " ant-btn-sm", " ant-btn-round")
            ),
            text='<input type="{kind}" {e} class="ant-input" {value}{off}>',
            area='<textarea {e} class="ant-input" rows="{rows}"{off}>{b}</textarea>',
            select='<div {e} class="ant-select ant-select-single ant-select-show-arrow"><div class="ant-select-selector"><span class="ant-select-selection-item">{b}</span></div>'
            '<span class="ant-select-arrow">&#9662;</span></div>',
            boxes=(
                '<label class="ant-checkbox-wrapper"><span class="ant-checkbox {on}"><span {e} class="ant-checkbox-inner"></span></span><span>{b}</span></label>',
                '<label class="ant-radio-wrapper"><span class="ant-radio {on_radio}"><span {e} class="ant-radio-inner"></span></span><span>{b}</span></label>',
            ),
            switches=(
                '<span class="t-row"><button {e} class="ant-switch {on_switch}"><div class="ant-switch-handle"></div></button> {b}</span>',
            ),
            slider='<div {e} class="ant-slider" style="width:180px"><div class="ant-slider-rail"></div><div class="ant-slider-track" style="left:0;width:{at}%"></div>'
            '<div class="ant-slider-handle" style="left:{at}%;transform:translateX(-50%)"></div></div>',
            tabs=(
                (
                    '<div class="ant-tabs ant-tabs-top"><div class="ant-tabs-nav"><div class="ant-tabs-nav-wrap"><div class="ant-tabs-nav-list">{b}</div></div></div></div>',
                    '<div {e} class="ant-tabs-tab {on}"><div class="ant-tabs-tab-btn">{b}</div></div>',
                    "ant-tabs-tab-active",
                ),
            ),
            menus=(
                (
                    '<ul class="ant-menu ant-menu-root ant-menu-inline ant-menu-light">{b}</ul>',
                    '<li {e} class="ant-menu-item {on}" style="padding-left:24px">{b}</li>',
                    "ant-menu-item-selected",
                ),
                (
                    '<ul class="ant-dropdown-menu ant-dropdown-menu-root">{b}</ul>',
                    '<li {e} class="ant-dropdown-menu-item {on}">{b}</li>',
                    "ant-dropdown-menu-item-selected",
                ),
            ),
            card="ant-card ant-card-bordered p-card",
            badge="ant-tag",
        )
        for look in ("", "dark", "compact")
    ),
    Framework(
        "element-plus",
        "element-plus",
        "",
        ("package/dist/index.css",),
        buttons=tuple(
            f"el-button{kind}{more}"
            for kind in ("", " el-button--primary", " el-button--success", " el-button--danger")
            for more in ("", " is-plain", " el-button--small", " is-round")
        ),
        text='<div class="el-input" style="width:220px"><div {e} class="el-input__wrapper"><input type="{kind}" class="el-input__inner" {value}{off}></div></div>',
        area='<div class="el-textarea" style="width:260px"><textarea {e} class="el-textarea__inner" rows="{rows}"{off}>{b}</textarea></div>',
        boxes=(
            '<label class="el-checkbox {on_el}"><span class="el-checkbox__input {on_el}"><span {e} class="el-checkbox__inner"></span></span><span class="el-checkbox__label">{b}</span></label>',
        ),
        switches=(
            '<div class="el-switch {on_el}"><span {e} class="el-switch__core"><div class="el-switch__action"></div></span>&nbsp;{b}</div>',
        ),
        slider='<div class="el-slider" style="width:200px"><div {e} class="el-slider__runway"><div class="el-slider__bar" style="width:{at}%"></div>'
        '<div class="el-slider__button-wrapper" style="left:{at}%"><div class="el-slider__button"></div></div></div></div>',
        tabs=(
            (
                '<div class="el-tabs el-tabs--top"><div class="el-tabs__header"><div class="el-tabs__nav-wrap"><div class="el-tabs__nav">{b}</div></div></div></div>',
                '<div {e} class="el-tabs__item {on}">{b}</div>',
                "is-active",
            ),
        ),
        menus=(
            ('<ul class="el-menu">{b}</ul>', '<li {e} class="el-menu-item {on}">{b}</li>', "is-active"),
            ('<ul class="el-dropdown-menu">{b}</ul>', '<li {e} class="el-dropdown-menu__item {on}">{b}</li>', ""),
        ),
        card="el-card p-card",
        badge="el-tag",
        css=".el-tabs__nav{padding-left:16px}",
    ),
    Framework(
        "mdui",
        "mdui",
        "",
        ("package/dist/css/mdui.min.css",),
        buttons=(
            "mdui-btn mdui-btn-raised",
            "mdui-btn mdui-color-blue",
            "mdui-btn mdui-btn-dense",
            "mdui-btn mdui-color-pink mdui-btn-raised",
            "mdui-btn",
        ),
        text='<div class="mdui-textfield"><input type="{kind}" {e} class="mdui-textfield-input" {value}{off}></div>',
        area='<div class="mdui-textfield"><textarea {e} class="mdui-textfield-input" rows="{rows}"{off}>{b}</textarea></div>',
        select='<select {e} class="mdui-select"{off}><option>{b}</option></select>',
        boxes=(
            '<label class="mdui-checkbox"><input type="checkbox"{checked}{off}><i {e} class="mdui-checkbox-icon"></i>{b}</label>',
            '<label class="mdui-radio"><input type="radio"{checked}{off}><i {e} class="mdui-radio-icon"></i>{b}</label>',
        ),
        switches=(
            '<label class="mdui-switch"><input type="checkbox"{checked}{off}><i {e} class="mdui-switch-icon"></i>&nbsp;{b}</label>',
        ),
        tabs=(('<div class="mdui-tab">{b}</div>', '<a {e} class="mdui-ripple {on}">{b}</a>', "mdui-tab-active"),),
        menus=(
            ('<ul class="mdui-list">{b}</ul>', '<li {e} class="mdui-list-item {on}">{b}</li>', "mdui-list-item-active"),
        ),
        table="mdui-table",
        card="mdui-card p-card",
    ),
    Framework(
        "photon",
        "photonkit",
        "",
        ("package/dist/css/photon.css",),
        buttons=(
            "btn btn-default",
            "btn btn-default",
            "btn btn-primary",
            "btn btn-positive",
            "btn btn-large btn-default",
            "btn btn-mini btn-default",
        ),
        text='<input type="{kind}" {e} class="form-control" {value}{off}>',
        area='<textarea {e} class="form-control" rows="{rows}"{off}>{b}</textarea>',
        tabs=(('<div class="tab-group">{b}</div>', '<div {e} class="tab-item {on}">{b}</div>', "active"),),
        menus=(('<nav class="nav-group">{b}</nav>', '<a {e} class="nav-group-item {on}">{b}</a>', "active"),),
        css="html,body{height:auto;overflow:auto}*{-webkit-app-region:no-drag}",
    ),
    Framework(
        "primer",
        "@primer/css",
        "",
        ("package/dist/primer.css",),
        buttons=("btn", "btn btn-primary", "btn btn-danger", "btn btn-outline", "btn btn-sm", "btn-invisible btn"),
        text='<input type="{kind}" {e} class="form-control" {value}{off}>',
        area='<textarea {e} class="form-control" rows="{rows}"{off}>{b}</textarea>',
        select='<select {e} class="form-select"{off}><option>{b}</option></select>',
        menus=(
            ('<nav class="menu">{b}</nav>', '<a {e} class="menu-item {on}">{b}</a>', "selected"),
            ('<nav class="SideNav">{b}</nav>', '<a {e} class="SideNav-item {on}">{b}</a>', "selected"),
        ),
        card="Box p-card",
        badge="Label",
        roots=('data-color-mode="light" data-light-theme="light"',),
        dark='data-color-mode="dark" data-dark-theme="dark"',
    ),
    *(
        Framework(
            f"blueprint-{look}",
            "@blueprintjs/core",
            "",
            ("package/lib/css/blueprint.css",),
            buttons=(
                "bp6-button",
                "bp6-button bp6-intent-primary",
                "bp6-button bp6-intent-danger",
                "bp6-button bp6-small",
                "bp6-button bp6-minimal bp6-intent-success",
                "bp6-button bp6-outlined",
            ),
            text='<input type="{kind}" {e} class="bp6-input" {value}{off}>',
            area='<textarea {e} class="bp6-input bp6-text-area" rows="{rows}"{off}>{b}</textarea>',
            select='<div class="bp6-html-select"><select {e}{off}><option>{b}</option></select></div>',
            boxes=(
                '<label class="bp6-control bp6-checkbox"><input type="checkbox"{checked}{off}><span {e} class="bp6-control-indicator"></span>{b}</label>',
                '<label class="bp6-control bp6-radio"><input type="radio"{checked}{off}><span {e} class="bp6-control-indicator"></span>{b}</label>',
            ),
            switches=(
                '<label class="bp6-control bp6-switch"><input type="checkbox"{checked}{off}><span {e} class="bp6-control-indicator"></span>{b}</label>',
            ),
            tabs=(
                (
                    '<div class="bp6-tabs"><div class="bp6-tab-list">{b}</div></div>',
                    '<div {e} class="bp6-tab" aria-selected="{on}">{b}</div>',
                    "true",
                ),
            ),
            menus=(
                (
                    '<ul class="bp6-menu">{b}</ul>',
                    '<li><a {e} class="bp6-menu-item {on}">{b}</a></li>',
                    "bp6-active bp6-intent-primary",
                ),
            ),
            card="bp6-card",
            table="bp6-html-table",
            badge="bp6-tag",
            css=".bp6-control input{opacity:0;position:absolute}"
            + ("body{background:#252a31;color:#f6f7f9}" if look == "bp6-dark" else ""),
        )
        for look in ("light", "bp6-dark")
    ),
)
HELD_OUT_FRAMEWORK = "bulma"
HELD_OUT_ICONS = "remixicon"
# Looks that come in many variants would crowd out the others: drawn by family first.
FAMILIES: dict[str, tuple[Framework, ...]] = {}
for _framework in FRAMEWORKS:
    _family = _framework.name.split("-")[0]
    FAMILIES[_family] = (*FAMILIES.get(_family, ()), _framework)
