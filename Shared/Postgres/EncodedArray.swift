/// An array parameter that is encoded while its elements come. It holds bytes and no values, so that
/// rows which wait to be written keep none of the memory that they were made of.
package struct EncodedArray: Sendable {
    let arrayType: TypeID
    let elementType: TypeID
    private(set) var count = 0
    private(set) var hasNull = false
    private(set) var elements: [UInt8] = []

    package init(of type: any PostgresValue.Type) { (arrayType, elementType) = (type.arrayTypeID, type.typeID) }

    /// Adds an element.
    /// - Parameter encode: writes a value of the array's type, or returns nil for NULL.
    package mutating func append(_ encode: (inout [UInt8]) -> Void?) {
        count += 1
        Parameters.element(into: &elements) { bytes in
            let written: Void? = encode(&bytes)
            if written == nil { hasNull = true }
            return written
        }
    }
}
