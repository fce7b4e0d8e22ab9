/// A column of a table.
package struct Column: Sendable {
    fileprivate let title: String
    fileprivate let style: Attribute
    /// The title next to each cell, where the screen is narrow.
    fileprivate let label: Attribute

    /// - Parameters:
    ///   - isMinor: left out where the screen is narrow.
    ///   - isLong: its words may be broken anywhere.
    package init(_ title: String, isMinor: Bool = false, isLong: Bool = false) {
        (self.title, label) = (title, .none)
        style =
            switch (isMinor, isLong) {
            case (false, false): .none
            case (true, false): .class("minor")
            case (false, true): .class("long")
            case (true, true): .class("minor long")
            }
    }

    private init(title: String, style: Attribute, label: Attribute) { (self.title, self.style, self.label) = (title, style, label) }

    /// A column of figures, which end at its right side.
    package static func figures(_ title: String, isMinor: Bool = false) -> Column {
        Column(title: title, style: isMinor ? .class("minor figures") : .class("figures"), label: .none)
    }

    /// A column of prices, which begin at its left side: most are below ten, so that their points stand one below the other.
    /// In a stacked table they stand in a grid, each below its title.
    package static func prices(_ title: String) -> Column {
        Column(title: title, style: .class("price"), label: Attribute("data-label", title))
    }
}

/// A table with a caption that only screen readers speak.
/// - Parameter isStacked: true if the cells of a row stand one below the other where the screen is narrow. Two figures have room there.
package func dataTable(_ caption: String, _ columns: [Column], _ rows: [[HTML]], isStacked: Bool = false) -> HTML {
    table(isStacked ? .class("stacked") : .none) {
        Element("caption")(.class("hidden")) { caption }
        thead { tr { for column in columns { th(.scope("col"), column.style) { column.title } } } }
        tbody {
            for row in rows { tr { for (column, cell) in zip(columns, row) { td(column.style, column.label) { cell } } } }
        }
    }
}

/// The way to the first page of a list and to the next one.
/// - Parameter next: nil on the last page.
package func pager(_ viewer: Viewer, first: Link?, next: Link?) -> HTML {
    guard first != nil || next != nil else { return .empty }
    return nav(.class("pager"), .ariaLabel(viewer.language(en: "Pages", th: "หน้า"))) {
        if let first { a(first) { viewer.language(en: "First page", th: "หน้าแรก") } }
        if let next { a(next) { viewer.language(en: "Next page", th: "หน้าถัดไป") } }
    }
}
