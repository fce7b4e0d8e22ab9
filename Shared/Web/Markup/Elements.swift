// The elements and attributes of pages. Each has the name that HTML gives it.

/// An element with an end tag: `p(.class("muted")) { "text" }`.
package struct Element: Sendable {
    private let name: StaticString

    init(_ name: StaticString) { self.name = name }

    package func callAsFunction(_ attributes: Attribute..., @HTMLBuilder content: () -> HTML) -> HTML {
        .element(name, attributes, content())
    }
}

package let div = Element("div")
package let section = Element("section")
package let header = Element("header")
let aside = Element("aside")
package let footer = Element("footer")
package let nav = Element("nav")
package let h1 = Element("h1")
package let h2 = Element("h2")
package let p = Element("p")
package let span = Element("span")
package let strong = Element("strong")
package let small = Element("small")
/// Text of another person, whose direction changes nothing around it.
package let bdi = Element("bdi")
package let code = Element("code")
package let ul = Element("ul")
package let li = Element("li")
package let dl = Element("dl")
package let dt = Element("dt")
package let dd = Element("dd")
package let table = Element("table")
package let thead = Element("thead")
package let tbody = Element("tbody")
package let tr = Element("tr")
package let th = Element("th")
package let td = Element("td")
package let fieldset = Element("fieldset")
package let legend = Element("legend")
package let label = Element("label")
package let select = Element("select")
package let option = Element("option")

/// Options of a choice that belong together.
func optgroup(_ title: String, @HTMLBuilder content: () -> HTML) -> HTML {
    .element("optgroup", [Attribute("label", title)], content())
}

/// A field of a form. It has no end tag.
package func input(_ attributes: Attribute...) -> HTML { .start("input", attributes) }

/// An address to follow.
package func a(_ link: Link, _ attributes: Attribute..., @HTMLBuilder content: () -> HTML) -> HTML {
    .element("a", [Attribute("href", link.description)] + attributes, content())
}

/// An address of another host to follow.
package func a(_ link: OutsideLink, _ attributes: Attribute..., @HTMLBuilder content: () -> HTML) -> HTML {
    .element("a", [Attribute("href", link.description), Attribute("rel", "noopener")] + attributes, content())
}

/// A form whose browser sends `POST`, or `GET` for a search. ``Form`` makes those with a token.
func form(_ action: Link, method: StaticString, _ attributes: [Attribute], _ content: HTML) -> HTML {
    .element("form", [Attribute("action", action.description), Attribute("method", method.description)] + attributes, content)
}

/// A link to a part of the same page.
package func a(fragment id: String, _ attributes: Attribute..., @HTMLBuilder content: () -> HTML) -> HTML {
    .element("a", [Attribute("href", "#\(id)")] + attributes, content())
}

/// A moment, for machines in `datetime`.
func time(_ instant: String, _ attributes: Attribute..., @HTMLBuilder content: () -> HTML) -> HTML {
    .element("time", [Attribute("datetime", instant)] + attributes, content())
}

extension Attribute {
    package static func `class`(_ names: StaticString) -> Attribute { Attribute("class", names.description) }
    package static func id(_ id: String) -> Attribute { Attribute("id", id) }
    package static func `for`(_ id: String) -> Attribute { Attribute("for", id) }
    package static func name(_ name: String) -> Attribute { Attribute("name", name) }
    package static func value(_ value: String) -> Attribute { Attribute("value", value) }
    package static func type(_ type: StaticString) -> Attribute { Attribute("type", type.description) }
    package static func title(_ text: String) -> Attribute { Attribute("title", text) }
    package static func lang(_ language: Language) -> Attribute { Attribute("lang", language.rawValue) }
    package static func role(_ role: StaticString) -> Attribute { Attribute("role", role.description) }
    package static func scope(_ scope: StaticString) -> Attribute { Attribute("scope", scope.description) }
    package static func tabindex(_ index: Int) -> Attribute { Attribute("tabindex", String(index)) }
    package static func autocomplete(_ purpose: StaticString) -> Attribute { Attribute("autocomplete", purpose.description) }
    package static func inputmode(_ mode: StaticString) -> Attribute { Attribute("inputmode", mode.description) }
    package static func maxlength(_ length: Int) -> Attribute { Attribute("maxlength", String(length)) }
    package static func ariaLabel(_ text: String) -> Attribute { Attribute("aria-label", text) }
    package static func ariaLabelledBy(_ id: String) -> Attribute { Attribute("aria-labelledby", id) }
    package static func ariaDescribedBy(_ ids: String) -> Attribute { Attribute("aria-describedby", ids) }
    package static let ariaCurrentPage = Attribute("aria-current", "page")
    package static let ariaCurrent = Attribute("aria-current", "true")
    /// Screen readers speak what appears in it.
    package static let ariaLive = Attribute("aria-live", "polite")
    package static let ariaHidden = Attribute("aria-hidden", "true")
    package static let ariaInvalid = Attribute("aria-invalid", "true")
    package static let required = Attribute("required")
    package static let autofocus = Attribute("autofocus")
    package static let checked = Attribute("checked")
    package static let selected = Attribute("selected")
    /// No correction of what a person types.
    package static let verbatim = Attribute("autocapitalize", "none")
    package static let noSpellcheck = Attribute("spellcheck", "false")
}
